// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"encoding/binary"

	"containerd-shim-wazero/sandbox/wasi/rawio"
)

// le is the byte order of guest memory.
var le = binary.LittleEndian

// Bytes is the guest's memory from ptr on, or false if that is not all there.
// It is valid until the guest runs again.
func (f *Front) Bytes(ptr, size uint32) ([]byte, bool) {
	if f.mem == nil {
		return nil, false
	}
	return f.mem.Read(ptr, size)
}

// PutUint32 stores a result; false if ptr is outside of memory.
func (f *Front) PutUint32(ptr, v uint32) bool {
	return f.mem != nil && f.mem.WriteUint32Le(ptr, v)
}

// PutUint64 stores a result; false if ptr is outside of memory.
func (f *Front) PutUint64(ptr uint32, v uint64) bool {
	return f.mem != nil && f.mem.WriteUint64Le(ptr, v)
}

// array is count elements of a size at ptr.
func (f *Front) array(ptr, count, size uint32) ([]byte, bool) {
	total := uint64(count) * uint64(size)
	if total > 1<<32-1 {
		return nil, false
	}
	return f.Bytes(ptr, uint32(total))
}

const iovecSize = 8

// Vectors are the buffers that an array of iovec or ciovec describes. Those
// beyond what one system call takes are left out, as in a partial transfer. The
// slice is valid until the next call.
func (f *Front) Vectors(ptr, count uint32) ([][]byte, Errno) {
	array, ok := f.array(ptr, count, iovecSize)
	if !ok {
		return nil, ErrnoFault
	}
	f.iovs = f.iovs[:0]
	for ; len(array) > 0 && len(f.iovs) < rawio.MaxVectors; array = array[iovecSize:] {
		buf, ok := f.Bytes(le.Uint32(array), le.Uint32(array[4:]))
		if !ok {
			return nil, ErrnoFault
		}
		f.iovs = append(f.iovs, buf)
	}
	return f.iovs, ErrnoSuccess
}
