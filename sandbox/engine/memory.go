// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine/image"
)

const pageSize = 64 << 10 // of a WebAssembly memory

// memory is a guest's linear memory: address space for all that it may ever
// have, reserved once, of which the front is usable. So growing copies nothing
// and never needs more than it is given, and a guest gets its own "out of
// memory" before the kernel must kill it.
type memory struct {
	reserved []byte
	size     uint64 // usable
	limit    Limit
	refused  uint64 // bytes that a refused growth would have made, 0 for none
}

// Limit gives the bytes that a guest's memory may have now, 0 for no limit. It
// is asked at each growth, since a container's limits can change.
type Limit func() uint64

// newMemory reserves the memory of a module and maps its initial contents.
func newMemory(m *mapped, limit Limit) (*memory, error) {
	lo, hi := uint64(m.MinPages)*pageSize, max(uint64(m.MaxPages), uint64(m.MinPages))*pageSize
	if n := limit(); n != 0 && lo > n {
		return nil, &InvalidError{fmt.Sprintf("needs %s of memory to begin with and the container's limit leaves %s for it: raise the memory limit by at least %s",
			mebibytes(lo), mebibytes(n), mebibytes(lo-n))}
	}
	mem := &memory{limit: limit}
	if hi == 0 {
		hi = pageSize // so that there is an address
	}
	b, err := unix.Mmap(-1, 0, int(hi), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %s of address space for the module's memory: %w", mebibytes(hi), err)
	}
	mem.reserved = b
	if err := mem.grow(lo); err != nil {
		return nil, fmt.Errorf("allocate the module's memory of %s: %w", mebibytes(lo), err)
	}
	return mem, mem.fill(m)
}

// fill maps the initial contents, copied by the kernel where they are changed.
func (m *memory) fill(img *mapped) error {
	runs, err := image.DecodeRuns(img.Header, img.part(image.Runs))
	if err != nil {
		return err
	}
	base, _ := img.Span(image.Memory)
	for _, r := range runs {
		_, err := unix.MmapPtr(img.fd, base+int64(r.From), unsafe.Pointer(&m.reserved[r.At]), uintptr(r.Len),
			unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED)
		if err != nil {
			return fmt.Errorf("map the module's initial memory: %w", err)
		}
	}
	return nil
}

func (m *memory) grow(size uint64) error {
	if size <= m.size {
		return nil
	}
	if err := unix.Mprotect(m.reserved[m.size:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return err
	}
	m.size = size
	return nil
}

// Allocate implements experimental.MemoryAllocator. The module has this one
// memory, reserved before.
func (m *memory) Allocate(uint64, uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory: nil refuses, and the
// guest's memory.grow gives -1.
func (m *memory) Reallocate(size uint64) []byte {
	if n := m.limit(); size > m.size && n != 0 && size > n || size > uint64(len(m.reserved)) {
		m.refused = size
		return nil
	}
	if m.grow(size) != nil {
		m.refused = size
		return nil
	}
	return m.reserved[:size:size]
}

// Free implements experimental.LinearMemory. The memory goes with the process.
func (m *memory) Free() {}

func mebibytes(n uint64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
}
