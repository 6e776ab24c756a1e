// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package stdio is the three descriptors every guest begins with: a pipe, a
// terminal, a file, a socket, or nothing.
//
// Their open file descriptions are shared with other processes, so the flags
// that a guest sets stay on this side of them: the kernel's O_NONBLOCK would
// change what the process at the other end sees.
//
// System calls: fstat, ioctl(TCGETS), lseek, fcntl(F_GETFL), close, and those of
// packages poll and rawio.
package stdio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/poll"
	"containerd-shim-wazero/sandbox/wasi/rawio"
)

// Errno is the result of an operation; zero is success.
type Errno = descriptor.Errno

// Stream is a descriptor of the process that the guest uses as standard input,
// output or error.
type Stream struct {
	fd          int
	kind        descriptor.Kind
	flags       descriptor.Flags
	read, write bool
	seekable    bool
	tty         bool
}

// New gives a descriptor of the process to a guest, which closes it; but not 0
// to 2, where the Go runtime writes. A negative fd stands for nothing: reads end
// at once, and what is written is gone.
func New(fd int) (descriptor.Descriptor, Errno) {
	if fd < 0 {
		return Null{}, 0
	}
	s := &Stream{fd: fd}
	var st unix.Stat_t
	if _, _, errno := syscall.Syscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&st)), 0); errno != 0 {
		return nil, errno
	}
	mode, _, errno := syscall.Syscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFL, 0)
	if errno != 0 {
		return nil, errno
	}
	access := mode & unix.O_ACCMODE
	s.read = access == unix.O_RDONLY || access == unix.O_RDWR
	s.write = access == unix.O_WRONLY || access == unix.O_RDWR
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.kind, s.seekable = descriptor.RegularFile, true
	case unix.S_IFBLK:
		s.kind, s.seekable = descriptor.BlockDevice, true
	case unix.S_IFDIR:
		s.kind = descriptor.Directory
	case unix.S_IFIFO:
		s.kind = descriptor.FIFO
	case unix.S_IFSOCK:
		s.kind = descriptor.StreamSocket
	case unix.S_IFCHR:
		s.kind = descriptor.CharacterDevice
		s.tty = IsTerminal(fd)
		s.seekable = !s.tty
	}
	return s, 0
}

// IsTerminal asks whether a descriptor of the process is a terminal.
func IsTerminal(fd int) bool {
	var t unix.Termios
	_, _, errno := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TCGETS, uintptr(unsafe.Pointer(&t)))
	return errno == 0
}

// Kind is the kind of the file behind the stream.
func (s *Stream) Kind() descriptor.Kind { return s.kind }

// Terminal says that the stream is a terminal.
func (s *Stream) Terminal() bool { return s.tty }

// Access says which directions the stream is open for.
func (s *Stream) Access() (read, write bool) { return s.read, s.write }

// Close closes the stream.
func (s *Stream) Close() Errno {
	if s.fd <= 2 {
		return 0
	}
	_, _, errno := syscall.Syscall(unix.SYS_CLOSE, uintptr(s.fd), 0, 0)
	return errno
}

// PollFD is negative for a file, which never waits.
func (s *Stream) PollFD() int {
	if s.kind == descriptor.RegularFile || s.kind == descriptor.BlockDevice {
		return -1
	}
	return s.fd
}

// Readv reads what is there, and waits for it unless the stream is nonblocking.
func (s *Stream) Readv(iovs [][]byte) (int, Errno) {
	if s.flags&descriptor.Nonblock != 0 && !s.ready(poll.In) {
		return 0, syscall.EAGAIN
	}
	for {
		n, errno := rawio.Readv(s.fd, iovs)
		if errno != syscall.EAGAIN || s.flags&descriptor.Nonblock != 0 {
			return n, errno
		}
		// The description is nonblocking although the guest's descriptor is not.
		if _, errno := poll.One(s.fd, poll.In, poll.Forever); errno != 0 {
			return 0, errno
		}
	}
}

// Writev writes to the stream, and waits for room unless it is nonblocking.
func (s *Stream) Writev(iovs [][]byte) (int, Errno) {
	if s.flags&descriptor.Nonblock != 0 {
		return s.tryWrite(iovs)
	}
	for {
		n, errno := rawio.Writev(s.fd, iovs)
		if errno != syscall.EAGAIN {
			return n, errno
		}
		if _, errno := poll.One(s.fd, poll.Out, poll.Forever); errno != 0 {
			return 0, errno
		}
	}
}

// atomic is how much can be written without waiting to a pipe that is ready.
const atomic = 4096

// tryWrite writes no more than is certain not to wait.
func (s *Stream) tryWrite(iovs [][]byte) (int, Errno) {
	if !s.ready(poll.Out) {
		return 0, syscall.EAGAIN
	}
	for _, p := range iovs {
		if len(p) > 0 {
			part := [1][]byte{p[:min(len(p), atomic)]}
			return rawio.Writev(s.fd, part[:])
		}
	}
	return rawio.Writev(s.fd, iovs)
}

func (s *Stream) ready(want poll.Events) bool {
	_, errno := poll.One(s.fd, want, 0)
	return errno == 0
}

// Preadv reads at an offset of a file (ESPIPE if it is none).
func (s *Stream) Preadv(iovs [][]byte, offset int64) (int, Errno) {
	return rawio.Preadv(s.fd, iovs, offset)
}

// Pwritev writes at an offset of a file (ESPIPE if it is none).
func (s *Stream) Pwritev(iovs [][]byte, offset int64) (int, Errno) {
	return rawio.Pwritev(s.fd, iovs, offset)
}

// Lseek moves the offset of a file (ESPIPE if it is none).
func (s *Stream) Lseek(offset int64, whence int) (int64, Errno) {
	if !s.seekable {
		return 0, syscall.ESPIPE
	}
	n, _, errno := syscall.Syscall(unix.SYS_LSEEK, uintptr(s.fd), uintptr(offset), uintptr(whence))
	return int64(n), errno
}

// Seekable says that the stream has an offset.
func (s *Stream) Seekable() bool { return s.seekable }

// Flags are what the guest has set.
func (s *Stream) Flags() descriptor.Flags { return s.flags }

// SetFlags sets Nonblock; Append is what output is anyway. No other is possible
// on a stream that is already open (EINVAL).
func (s *Stream) SetFlags(flags descriptor.Flags) Errno {
	if flags&^(descriptor.Nonblock|descriptor.Append) != 0 {
		return syscall.EINVAL
	}
	s.flags = flags
	return 0
}

// Stat gives the guest the kind, and for a file its size and times; the numbers
// of device and file are the host's business.
func (s *Stream) Stat(st *descriptor.Stat) Errno {
	*st = descriptor.Stat{Kind: s.kind, Nlink: 1}
	if s.kind != descriptor.RegularFile {
		return 0
	}
	var sys unix.Stat_t
	_, _, errno := syscall.Syscall(unix.SYS_FSTAT, uintptr(s.fd), uintptr(unsafe.Pointer(&sys)), 0)
	st.Size = uint64(sys.Size)
	st.Atime, st.Mtime, st.Ctime = sys.Atim.Nano(), sys.Mtim.Nano(), sys.Ctim.Nano()
	return errno
}

// Null is a stream that was not given.
type Null struct{}

// Kind is that of /dev/null.
func (Null) Kind() descriptor.Kind { return descriptor.CharacterDevice }

// Close does nothing.
func (Null) Close() Errno { return 0 }

// PollFD says that it never waits.
func (Null) PollFD() int { return -1 }

// Readv is at the end.
func (Null) Readv([][]byte) (int, Errno) { return 0, 0 }

// Writev takes everything.
func (Null) Writev(iovs [][]byte) (n int, _ Errno) {
	for _, p := range iovs {
		n += len(p)
	}
	return n, 0
}

// Stat gives the kind.
func (Null) Stat(st *descriptor.Stat) Errno {
	*st = descriptor.Stat{Kind: descriptor.CharacterDevice, Nlink: 1}
	return 0
}
