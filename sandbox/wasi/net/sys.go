// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/rawio"
)

// The system calls, raw: an error is a number, and nothing escapes to the heap.

func socket(family, kind int) (int, Errno) {
	fd, _, errno := syscall.Syscall(unix.SYS_SOCKET, uintptr(family),
		uintptr(kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC), 0)
	return int(fd), errno
}

func closeFD(fd int) Errno {
	_, _, errno := syscall.Syscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errno
}

func bind(fd int, sa *sockaddr) Errno {
	_, _, errno := syscall.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(sa.pointer()), uintptr(sa.len))
	return errno
}

func connect(fd int, sa *sockaddr) Errno {
	_, _, errno := syscall.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(sa.pointer()), uintptr(sa.len))
	return errno
}

func listen(fd, backlog int) Errno {
	_, _, errno := syscall.Syscall(unix.SYS_LISTEN, uintptr(fd), uintptr(backlog), 0)
	return errno
}

func accept(fd int) (int, Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// name calls getsockname or getpeername.
func name(nr uintptr, fd int, sa *sockaddr) Errno {
	sa.len = uint32(len(sa.buf))
	_, _, errno := syscall.Syscall(nr, uintptr(fd), uintptr(sa.pointer()), uintptr(unsafe.Pointer(&sa.len)))
	return errno
}

func shutdown(fd, how int) Errno {
	_, _, errno := syscall.Syscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
	return errno
}

// getsockopt fills value and returns how much of it.
func getsockopt(fd, level, name int, value []byte) (int, Errno) {
	n := uint32(len(value))
	_, _, errno := syscall.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(unsafe.Pointer(&n)), 0)
	return int(n), errno
}

func setsockopt(fd, level, name int, value []byte) Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)), 0)
	return errno
}

func setsockoptInt(fd, level, name, value int) Errno {
	v := int32(value)
	return setsockopt(fd, level, name, unsafe.Slice((*byte)(unsafe.Pointer(&v)), 4))
}

func getsockoptInt(fd, level, name int) (int, Errno) {
	var v int32
	_, errno := getsockopt(fd, level, name, unsafe.Slice((*byte)(unsafe.Pointer(&v)), 4))
	return int(v), errno
}

// few vectors fit a small frame; guests seldom use more than two.
const few = 8

// message calls recvmsg or sendmsg once, and again when a signal interrupts it.
// The address, if there is one, is filled or sent.
func message(nr uintptr, fd int, iovs [][]byte, sa *sockaddr, flags int) (n int, msgFlags int32, errno Errno) {
	if len(iovs) > few {
		return manyVectors(nr, fd, iovs, sa, flags)
	}
	var v [few]unix.Iovec
	return call(nr, fd, v[:rawio.Fill(v[:], iovs)], sa, flags)
}

func manyVectors(nr uintptr, fd int, iovs [][]byte, sa *sockaddr, flags int) (int, int32, Errno) {
	var v [rawio.MaxVectors]unix.Iovec
	return call(nr, fd, v[:rawio.Fill(v[:], iovs)], sa, flags)
}

func call(nr uintptr, fd int, v []unix.Iovec, sa *sockaddr, flags int) (int, int32, Errno) {
	msg := unix.Msghdr{Iov: unsafe.SliceData(v)}
	msg.SetIovlen(len(v))
	for {
		if sa != nil {
			msg.Name, msg.Namelen = (*byte)(sa.pointer()), sa.len
			if nr == unix.SYS_RECVMSG {
				msg.Namelen = uint32(len(sa.buf))
			}
		}
		n, _, errno := syscall.Syscall(nr, uintptr(fd), uintptr(unsafe.Pointer(&msg)), uintptr(flags))
		switch errno {
		case 0:
			if sa != nil && nr == unix.SYS_RECVMSG {
				sa.len = msg.Namelen
			}
			return int(n), msg.Flags, 0
		case syscall.EINTR:
		default:
			return 0, 0, errno
		}
	}
}

func getLinger(fd int) (l unix.Linger, errno Errno) {
	_, errno = getsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Slice((*byte)(unsafe.Pointer(&l)), unix.SizeofLinger))
	return l, errno
}

func setLinger(fd int, l *unix.Linger) Errno {
	return setsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Slice((*byte)(unsafe.Pointer(l)), unix.SizeofLinger))
}
