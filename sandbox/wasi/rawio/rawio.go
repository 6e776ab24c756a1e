// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package rawio reads and writes raw file descriptors from and into lists of
// slices. It allocates nothing, bypasses the Go runtime's poller, and repeats a
// call that a signal interrupted.
//
// System calls: read, write, readv, writev, pread64, pwrite64, preadv, pwritev.
package rawio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxVectors is how many vectors one call uses; more are left for the next one,
// as a partial read or write.
const MaxVectors = 1024

// few vectors fit a small frame; guests seldom use more than two.
const few = 8

// Readv reads at the offset of the descriptor.
func Readv(fd int, iovs [][]byte) (int, syscall.Errno) {
	if len(iovs) == 1 {
		return single(unix.SYS_READ, fd, iovs[0], 0)
	}
	return vectors(unix.SYS_READV, fd, iovs, 0)
}

// Writev writes at the offset of the descriptor.
func Writev(fd int, iovs [][]byte) (int, syscall.Errno) {
	if len(iovs) == 1 {
		return single(unix.SYS_WRITE, fd, iovs[0], 0)
	}
	return vectors(unix.SYS_WRITEV, fd, iovs, 0)
}

// Preadv reads at an offset.
func Preadv(fd int, iovs [][]byte, offset int64) (int, syscall.Errno) {
	if len(iovs) == 1 {
		return single(unix.SYS_PREAD64, fd, iovs[0], offset)
	}
	return vectors(unix.SYS_PREADV, fd, iovs, offset)
}

// Pwritev writes at an offset.
func Pwritev(fd int, iovs [][]byte, offset int64) (int, syscall.Errno) {
	if len(iovs) == 1 {
		return single(unix.SYS_PWRITE64, fd, iovs[0], offset)
	}
	return vectors(unix.SYS_PWRITEV, fd, iovs, offset)
}

func single(nr uintptr, fd int, p []byte, offset int64) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))),
			uintptr(len(p)), uintptr(offset), 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

func vectors(nr uintptr, fd int, iovs [][]byte, offset int64) (int, syscall.Errno) {
	if len(iovs) > few {
		return manyVectors(nr, fd, iovs, offset)
	}
	var v [few]unix.Iovec
	return call(nr, fd, v[:Fill(v[:], iovs)], offset)
}

func manyVectors(nr uintptr, fd int, iovs [][]byte, offset int64) (int, syscall.Errno) {
	var v [MaxVectors]unix.Iovec
	return call(nr, fd, v[:Fill(v[:], iovs)], offset)
}

// Fill describes the slices, as many as there is room for, in the kernel's form.
func Fill(v []unix.Iovec, iovs [][]byte) int {
	n := min(len(v), len(iovs))
	for i := range n {
		v[i].Base = unsafe.SliceData(iovs[i])
		v[i].SetLen(len(iovs[i]))
	}
	return n
}

func call(nr uintptr, fd int, v []unix.Iovec, offset int64) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(v))),
			uintptr(len(v)), uintptr(offset), 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
