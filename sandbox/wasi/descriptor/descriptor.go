// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package descriptor is what a guest holds open: a table of numbered
// descriptors, and the interfaces by which a front uses one without knowing
// what stands behind it.
//
// Every operation answers with a [syscall.Errno], zero meaning success: the
// value goes to the guest unchanged in meaning, and returning it costs no
// allocation. Nothing here is safe for concurrent use: a guest is one thread.
package descriptor

import "syscall"

// Errno is the result of an operation; zero is success.
type Errno = syscall.Errno

// Kind says what a descriptor refers to.
type Kind uint8

// The kinds of a descriptor, as stat(2) tells them apart, with the two kinds of
// socket that a guest can see.
const (
	Unknown Kind = iota
	BlockDevice
	CharacterDevice
	Directory
	RegularFile
	SymbolicLink
	FIFO
	StreamSocket
	DatagramSocket
)

// Flags are the modes of an open descriptor that a guest may read and change.
type Flags uint8

// The flags of a descriptor, as open(2) names them.
const (
	Append   Flags = 1 << iota // every write goes to the end
	Nonblock                   // an operation that would wait answers EAGAIN
	DSync
	RSync
	Sync
)

// Descriptor is anything with a number in the table. What else it can do shows
// in the small interfaces that it also implements; an operation on a descriptor
// without that interface is the front's error.
type Descriptor interface {
	Kind() Kind
	// Close releases what the descriptor holds; it is called once, by the table.
	Close() Errno
}

// Reader reads a stream, or a file at its offset, into the vectors in order.
// It waits for at least one byte unless the descriptor is nonblocking (EAGAIN);
// zero bytes with no error is the end, if the vectors have room at all.
type Reader interface {
	Readv(iovs [][]byte) (int, Errno)
}

// Writer writes the vectors in order, possibly in part.
type Writer interface {
	Writev(iovs [][]byte) (int, Errno)
}

// ReaderAt reads at an offset in bytes, which must not be negative.
type ReaderAt interface {
	Preadv(iovs [][]byte, offset int64) (int, Errno)
}

// WriterAt writes at an offset in bytes, which must not be negative.
type WriterAt interface {
	Pwritev(iovs [][]byte, offset int64) (int, Errno)
}

// Seeker moves the offset; whence is SEEK_SET, SEEK_CUR or SEEK_END of lseek(2).
type Seeker interface {
	Lseek(offset int64, whence int) (int64, Errno)
}

// Flagger has flags. SetFlags replaces all of them, and refuses with EINVAL or
// ENOTSUP one that the descriptor cannot have.
type Flagger interface {
	Flags() Flags
	SetFlags(Flags) Errno
}

// Pollable has readiness that the kernel can report on a file descriptor.
type Pollable interface {
	// PollFD is the descriptor for ppoll(2), or negative if the descriptor never
	// waits, as a regular file: then it is always ready for everything.
	PollFD() int
}

// Accessor says which directions a descriptor was opened for; one that does not
// implement it can do what its interfaces say.
type Accessor interface {
	Access() (read, write bool)
}

// Stater has a status as stat(2) reports it.
type Stater interface {
	Stat(*Stat) Errno
}

// Stat is the status of a file; times are in nanoseconds since 1970.
type Stat struct {
	Dev, Ino            uint64
	Kind                Kind
	Nlink, Size         uint64
	Atime, Mtime, Ctime int64
}

// RecvFlags change one call of [Socket.Recv].
type RecvFlags uint8

// The flags of a receive, as recv(2) names them.
const (
	Peek RecvFlags = 1 << iota
	WaitAll
)

// How says which direction of a socket is shut down; both bits mean both.
type How uint8

// The directions of a shutdown.
const (
	ShutRead How = 1 << iota
	ShutWrite
	ShutBoth = ShutRead | ShutWrite
)

// Socket is a network descriptor. Read, write and poll work on it as on any
// stream. An operation that a socket of its kind or state cannot do answers as
// the kernel would: EINVAL, ENOTCONN, EOPNOTSUPP.
type Socket interface {
	Descriptor
	Reader
	Writer
	Flagger
	Pollable

	// Accept takes a connection of a listening socket and gives it the flags
	// (only Nonblock has a meaning). It waits unless the listener is nonblocking.
	Accept(Flags) (Socket, Errno)
	// Recv receives into the vectors; truncated says that a datagram was longer.
	Recv(iovs [][]byte, flags RecvFlags) (n int, truncated bool, err Errno)
	// Send sends the vectors, for a stream possibly in part; it never raises a
	// signal.
	Send(iovs [][]byte) (int, Errno)
	Shutdown(How) Errno
}
