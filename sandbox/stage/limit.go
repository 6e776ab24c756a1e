// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine"
)

// mapLimit maps the page in which the shim keeps the bytes that a guest's memory
// may have: an update of the container's limits needs no word with a sandbox
// that may be spinning. It can be read here, not written.
func mapLimit(files []*os.File) (engine.Limit, error) {
	if len(files) != 1 {
		return nil, fmt.Errorf("the memory limit's page is missing")
	}
	page, err := unix.Mmap(int(files[0].Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the memory limit: %w", err)
	}
	limit := (*atomic.Uint64)(unsafe.Pointer(&page[0]))
	return limit.Load, nil
}

func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }
