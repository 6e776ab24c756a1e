// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine"
)

// mapLimit maps the page in which the shim keeps the bytes that a guest's memory
// may have: an update of the container's limits needs no word with a sandbox
// that may be spinning. It can be read here, not written.
//
// A limit of address space would break the Go runtime; it is the guest's, too.
func mapLimit(files []*os.File, rlimits []config.Rlimit) (engine.Limit, error) {
	if len(files) != 1 {
		return nil, fmt.Errorf("the memory limit's page is missing")
	}
	page, err := unix.Mmap(int(files[0].Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the memory limit: %w", err)
	}
	container := (*atomic.Uint64)(unsafe.Pointer(&page[0]))
	own := addressSpace(rlimits)
	return func() uint64 {
		limit := container.Load()
		if limit == 0 || own != 0 && own < limit {
			return own
		}
		return limit
	}, nil
}

// addressSpace is the least limit of address space in bytes, 0 for none.
func addressSpace(rlimits []config.Rlimit) uint64 {
	least := uint64(unix.RLIM_INFINITY)
	for _, l := range rlimits {
		if l.Type == unix.RLIMIT_AS || l.Type == unix.RLIMIT_DATA {
			least = min(least, max(l.Soft, 1))
		}
	}
	if least == unix.RLIM_INFINITY {
		return 0
	}
	return least
}

func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }
