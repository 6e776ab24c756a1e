// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"syscall"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

// fakeSocket answers what it is told, and keeps what it was asked.
type fakeSocket struct {
	flags     descriptor.Flags
	recvFlags descriptor.RecvFlags
	data      string
	truncated bool
	sent      string
	how       descriptor.How
	closed    bool
	errno     descriptor.Errno
	pollFD    int
}

func (s *fakeSocket) Kind() descriptor.Kind   { return descriptor.StreamSocket }
func (s *fakeSocket) Close() descriptor.Errno { s.closed = true; return 0 }
func (s *fakeSocket) PollFD() int             { return s.pollFD }
func (s *fakeSocket) Flags() descriptor.Flags { return s.flags }
func (s *fakeSocket) Shutdown(how descriptor.How) descriptor.Errno {
	s.how = how
	return s.errno
}

func (s *fakeSocket) SetFlags(flags descriptor.Flags) descriptor.Errno {
	if flags&^descriptor.Nonblock != 0 {
		return syscall.EINVAL
	}
	s.flags = flags
	return 0
}

func (s *fakeSocket) Readv(iovs [][]byte) (int, descriptor.Errno) {
	n, _, errno := s.Recv(iovs, 0)
	return n, errno
}

func (s *fakeSocket) Writev(iovs [][]byte) (int, descriptor.Errno) { return s.Send(iovs) }

func (s *fakeSocket) Accept(flags descriptor.Flags) (descriptor.Socket, descriptor.Errno) {
	if s.errno != 0 {
		return nil, s.errno
	}
	return &fakeSocket{flags: flags, data: "accepted", pollFD: -1}, 0
}

func (s *fakeSocket) Recv(iovs [][]byte, flags descriptor.RecvFlags) (n int, truncated bool, _ descriptor.Errno) {
	s.recvFlags = flags
	rest := s.data
	for _, p := range iovs {
		c := copy(p, rest)
		n, rest = n+c, rest[c:]
	}
	return n, s.truncated, s.errno
}

func (s *fakeSocket) Send(iovs [][]byte) (n int, _ descriptor.Errno) {
	for _, p := range iovs {
		n += len(p)
		s.sent += string(p[:min(len(p), 100)])
	}
	return n, s.errno
}
