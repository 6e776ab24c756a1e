// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"syscall"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/poll"
)

// Readv receives as from a stream: what is there, at least one byte.
func (s *Socket) Readv(iovs [][]byte) (int, Errno) {
	n, _, errno := s.Recv(iovs, 0)
	return n, errno
}

// Writev sends as to a stream, possibly in part.
func (s *Socket) Writev(iovs [][]byte) (int, Errno) { return s.Send(iovs) }

// Send sends to the peer that the socket is connected to.
func (s *Socket) Send(iovs [][]byte) (int, Errno) { return s.send(iovs, nil) }

// SendTo sends a datagram to an address, if the policy lets it: EACCES. On a
// stream the address is passed over, as by sendto(2).
func (s *Socket) SendTo(iovs [][]byte, to Addr) (int, Errno) {
	if s.kind == descriptor.StreamSocket {
		return s.send(iovs, nil)
	}
	if s.family == Unix {
		return s.sendPath(iovs, to.Path)
	}
	var sa sockaddr
	if errno := sa.set(s.family, to.AddrPort); errno != 0 {
		return 0, errno
	}
	if !s.mayReach(to.AddrPort) {
		return 0, syscall.EACCES
	}
	return s.send(iovs, &sa)
}

func (s *Socket) send(iovs [][]byte, to *sockaddr) (int, Errno) {
	for {
		n, _, errno := message(unix.SYS_SENDMSG, s.fd, iovs, to, unix.MSG_NOSIGNAL)
		if errno != syscall.EAGAIN {
			return n, errno
		}
		if errno := s.wait(poll.Out, s.sendTimeout); errno != 0 {
			return 0, errno
		}
	}
}

// Recv receives; truncated says that a datagram was longer than the vectors.
func (s *Socket) Recv(iovs [][]byte, flags descriptor.RecvFlags) (n int, truncated bool, errno Errno) {
	n, _, truncated, errno = s.RecvFrom(iovs, flags)
	return n, truncated, errno
}

// RecvFrom is Recv which also says who sent: no address for a stream or a
// nameless Unix socket.
func (s *Socket) RecvFrom(iovs [][]byte, flags descriptor.RecvFlags) (n int, from Addr, truncated bool, errno Errno) {
	if s.kind == descriptor.DatagramSocket {
		return s.recvDatagram(iovs, flags)
	}
	switch flags & (descriptor.Peek | descriptor.WaitAll) {
	case descriptor.WaitAll:
		n, errno = s.recvAll(iovs)
	case descriptor.Peek | descriptor.WaitAll:
		n, errno = s.peekAll(iovs)
	case descriptor.Peek:
		n, errno = s.recvSome(iovs, unix.MSG_PEEK)
	default:
		n, errno = s.recvSome(iovs, 0)
	}
	return n, Addr{}, false, errno
}

func (s *Socket) recvSome(iovs [][]byte, flags int) (int, Errno) {
	for {
		n, _, errno := message(unix.SYS_RECVMSG, s.fd, iovs, nil, flags)
		if errno != syscall.EAGAIN {
			return n, errno
		}
		if errno := s.wait(poll.In, s.recvTimeout); errno != 0 {
			return 0, errno
		}
	}
}

// recvDatagram receives the next datagram that the guest may hear.
func (s *Socket) recvDatagram(iovs [][]byte, flags descriptor.RecvFlags) (n int, from Addr, truncated bool, errno Errno) {
	var sa sockaddr
	kernel := 0
	if flags&descriptor.Peek != 0 {
		kernel = unix.MSG_PEEK
	}
	for {
		n, msgFlags, errno := message(unix.SYS_RECVMSG, s.fd, iovs, &sa, kernel)
		switch {
		case errno == syscall.EAGAIN:
			if errno := s.wait(poll.In, s.recvTimeout); errno != 0 {
				return 0, Addr{}, false, errno
			}
			continue
		case errno != 0:
			return 0, Addr{}, false, errno
		}
		from := sa.get()
		if !s.hears(from) {
			if kernel != 0 { // only peeked: it must go
				message(unix.SYS_RECVMSG, s.fd, nil, nil, unix.MSG_DONTWAIT)
			}
			continue
		}
		return n, from, msgFlags&unix.MSG_TRUNC != 0, 0
	}
}

// hears reports whether a datagram is for the guest: a socket that no listen
// rule granted hears only from where it may send to. Who is heard by one that
// was granted may be answered.
func (s *Socket) hears(from Addr) bool {
	p := s.net.policy
	if s.family == Unix || p.Grants().ConnectAny || !from.IsValid() {
		return true
	}
	if s.served {
		s.peers.add(from.AddrPort)
		return true
	}
	return p.Hears(from.AddrPort)
}

// recvAll fills the vectors, unless the stream ends, fails or has no more for a
// nonblocking socket.
func (s *Socket) recvAll(iovs [][]byte) (int, Errno) {
	rest := append([][]byte(nil), iovs...)
	total := 0
	for {
		for len(rest) > 0 && len(rest[0]) == 0 {
			rest = rest[1:]
		}
		if len(rest) == 0 && total > 0 {
			return total, 0
		}
		n, errno := s.recvSome(rest, 0)
		if errno != 0 || n == 0 {
			if total > 0 {
				errno = 0 // an error comes back with the next call
			}
			return total, errno
		}
		total += n
		for n > 0 {
			m := min(n, len(rest[0]))
			rest[0] = rest[0][m:]
			n -= m
			if len(rest[0]) == 0 {
				rest = rest[1:]
			}
		}
	}
}

// peekAll waits until the vectors can be filled, the stream ends or the socket
// holds no more, and leaves the bytes where they are. Polling would see the
// first of them over and over, so the kernel is told how many to wait for. (Its
// own MSG_PEEK with MSG_WAITALL may wait for ever for bytes that it appended to
// the segment it had looked at.)
func (s *Socket) peekAll(iovs [][]byte) (int, Errno) {
	want := 0
	for _, v := range iovs {
		want += len(v)
	}
	if want > 0 && s.flags&descriptor.Nonblock == 0 {
		old, errno := getsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT)
		if errno != 0 {
			return 0, errno
		}
		if errno := setsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, min(want, 1<<30)); errno != 0 {
			return 0, errno
		}
		errno = s.wait(poll.In, s.recvTimeout)
		setsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, old)
		if errno != 0 && errno != syscall.EAGAIN { // what came in time counts
			return 0, errno
		}
	}
	n, _, errno := message(unix.SYS_RECVMSG, s.fd, iovs, nil, unix.MSG_PEEK)
	return n, errno
}
