// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
)

// What a sandbox process takes of its container's memory for itself, in bytes.
// Measured in the cgroup: 2.4 MB at the most until the guest starts, and the
// garbage of host functions, which nothing collects before it is this much.
const (
	processBase = 3 << 20
	minGarbage  = 2 << 20
	maxGarbage  = 24 << 20
	// runtimeReserve is what GOMEMLIMIT counts beside garbage: most of it is
	// mapped and never touched.
	runtimeReserve = 8 << 20
)

// garbage that the Go runtime may leave in a container with this limit.
func garbage(container uint64) uint64 {
	if container == 0 {
		return maxGarbage
	}
	return min(max(container/8, minGarbage), maxGarbage)
}

// processMemory is what is set aside for the process itself.
func processMemory(container uint64) uint64 { return processBase + garbage(container) }

// memoryLimit is the page through which a container's processes are told how
// much memory their guests may have. They can read it, not write it.
type memoryLimit struct {
	file *os.File // open for reading
	page []byte
}

func newMemoryLimit() (*memoryLimit, error) {
	fd, err := unix.MemfdCreate("memory-limit", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("making the memory limit's page: %w", err)
	}
	defer unix.Close(fd)
	size := os.Getpagesize()
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, fmt.Errorf("making the memory limit's page: %w", err)
	}
	page, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the memory limit's page: %w", err)
	}
	// No size that the holder of a descriptor could change, no new writer.
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS,
		unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SEAL)
	read, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = unix.Munmap(page)
		return nil, fmt.Errorf("opening the memory limit's page: %w", err)
	}
	return &memoryLimit{os.NewFile(uintptr(read), "memory-limit"), page}, nil
}

// set tells the processes of a container's limit in bytes, 0 for none.
func (l *memoryLimit) set(container uint64) {
	guest := uint64(0)
	if container != 0 {
		guest = 1 // less than a page: no growth
		if own := processMemory(container); container > own {
			guest = container - own
		}
	}
	(*atomic.Uint64)(unsafe.Pointer(&l.page[0])).Store(guest)
}

func (l *memoryLimit) close() {
	if l != nil && l.page != nil {
		_ = unix.Munmap(l.page)
		_ = l.file.Close()
		l.page = nil
	}
}

// checkMemory refuses a limit in which no sandbox process can start.
func checkMemory(limit uint64) error {
	if own := processMemory(limit); limit != 0 && limit <= own {
		return control.Errorf(errdefs.ErrInvalidArgument,
			"a memory limit of %d KiB is too little: the sandbox process itself may take %d KiB, the guest's memory comes on top",
			limit>>10, own>>10)
	}
	return nil
}

// environment of a sandbox process in a container with this limit. Nothing here
// is the guest's, whose own environment travels as data.
//
// One processor of the runtime: nothing runs beside the guest, and each has caches
// of its own. A collection of garbage costs half a megabyte that never comes back,
// and host functions leave next to nothing behind: so none before there is a lot.
func environment(limit uint64) []string {
	return []string{
		config.RoleEnv + "=" + config.RoleSandbox,
		"GOMAXPROCS=1",
		"GOGC=off",
		"GOMEMLIMIT=" + strconv.FormatUint(runtimeReserve+garbage(limit), 10),
	}
}
