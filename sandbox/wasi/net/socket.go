// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/poll"
)

var (
	_ descriptor.Socket = (*Socket)(nil)
	_ descriptor.Stater = (*Socket)(nil)
)

// Socket is one socket of a guest.
type Socket struct {
	fd     int
	net    *Network
	family Family
	kind   descriptor.Kind
	flags  descriptor.Flags
	// unseen says that the guest found the socket open and has not looked at its
	// flags: see Flags.
	unseen bool
	// bound is the address that was asked for in Bind.
	bound netip.AddrPort
	// served says that a listen rule grants receiving from anyone.
	served bool
	// peers are those whom a datagram socket may answer without a connect rule.
	peers peers
	// How long a receive and a send may wait; 0 for ever.
	recvTimeout, sendTimeout time.Duration
}

// Kind is StreamSocket or DatagramSocket.
func (s *Socket) Kind() descriptor.Kind { return s.kind }

// Family is the family of the socket's addresses.
func (s *Socket) Family() Family { return s.family }

// PollFD is the kernel's descriptor.
func (s *Socket) PollFD() int { return s.fd }

// Close closes the socket.
func (s *Socket) Close() Errno { return closeFD(s.fd) }

// Flags are the flags that the guest set.
//
// A socket that the guest found open blocks, as a plain server in C or Rust
// expects, until the guest asks for its flags; it then learns that the socket is
// nonblocking, and so it is from then on. For Go asks, once, and decides by the
// answer whether it waits for the socket with all its goroutines or stops them
// all in one accept; the others do not ask, or ask in order to set the flag.
func (s *Socket) Flags() descriptor.Flags {
	if s.unseen {
		s.unseen = false
		s.flags |= descriptor.Nonblock
	}
	return s.flags
}

// SetFlags sets Nonblock; a socket has no other flags, and as for fcntl(2) the
// others change nothing.
func (s *Socket) SetFlags(f descriptor.Flags) Errno {
	s.flags, s.unseen = f&descriptor.Nonblock, false
	return 0
}

// Stat gives the kernel's device and inode of the socket.
func (s *Socket) Stat(st *descriptor.Stat) Errno {
	var k unix.Stat_t
	if err := unix.Fstat(s.fd, &k); err != nil {
		return err.(syscall.Errno)
	}
	*st = descriptor.Stat{Dev: uint64(k.Dev), Ino: k.Ino, Kind: s.kind, Nlink: uint64(k.Nlink)}
	return 0
}

// wait blocks until the socket is ready; the guest sees EAGAIN when it is not
// to wait, or no longer.
func (s *Socket) wait(want poll.Events, timeout time.Duration) Errno {
	if s.flags&descriptor.Nonblock != 0 {
		return syscall.EAGAIN
	}
	if timeout == 0 {
		timeout = poll.Forever
	}
	_, errno := poll.One(s.fd, want, timeout)
	if errno == syscall.ETIMEDOUT {
		errno = syscall.EAGAIN
	}
	return errno
}

func (s *Socket) proto() policy.Proto {
	if s.kind == descriptor.StreamSocket {
		return policy.TCP
	}
	return policy.UDP
}

// Bind gives the socket its own address, if the policy lets it: EACCES.
func (s *Socket) Bind(addr Addr) Errno {
	if s.family == Unix {
		return s.bindPath(addr.Path)
	}
	var sa sockaddr
	if errno := sa.set(s.family, addr.AddrPort); errno != 0 {
		return errno
	}
	if !s.net.policy.Bind(s.proto(), addr.AddrPort) {
		return syscall.EACCES
	}
	if errno := bind(s.fd, &sa); errno != 0 {
		return errno
	}
	s.bound = addr.AddrPort
	s.served = s.net.policy.Serves(s.proto(), addr.AddrPort)
	return 0
}

// Listen makes a stream socket accept connections. The backlog is the kernel's
// to bound.
func (s *Socket) Listen(backlog int) Errno {
	if s.kind != descriptor.StreamSocket {
		return syscall.EOPNOTSUPP
	}
	if s.family != Unix && !s.served {
		asked := s.bound
		if !asked.IsValid() { // the kernel will choose a port on every address
			asked = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
			if s.family == IPv6 {
				asked = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
			}
		}
		if !s.net.policy.Listen(policy.TCP, asked) {
			return syscall.EACCES
		}
	}
	return listen(s.fd, backlog)
}

// Accept takes a connection. Those which the peer gave up before count as not
// there.
func (s *Socket) Accept(flags descriptor.Flags) (descriptor.Socket, Errno) {
	c, errno := s.accept(flags)
	if errno != 0 {
		return nil, errno
	}
	return c, 0
}

func (s *Socket) accept(flags descriptor.Flags) (*Socket, Errno) {
	for {
		fd, errno := accept(s.fd)
		switch errno {
		case 0:
			return &Socket{fd: fd, net: s.net, family: s.family, kind: s.kind, flags: flags & descriptor.Nonblock}, 0
		case syscall.EAGAIN:
			if errno := s.wait(poll.In, s.recvTimeout); errno != 0 {
				return nil, errno
			}
		case syscall.EINTR, syscall.ECONNABORTED, syscall.EPROTO:
		default:
			return nil, errno
		}
	}
}

// Connect connects a stream, or gives a datagram socket its one peer, if the
// policy lets it: EACCES. A nonblocking stream answers EINPROGRESS; it is
// writable once connected, and the outcome is option Error.
func (s *Socket) Connect(addr Addr) Errno {
	if s.family == Unix {
		return s.connectPath(addr.Path)
	}
	var sa sockaddr
	if errno := sa.set(s.family, addr.AddrPort); errno != 0 {
		return errno
	}
	if !s.mayReach(addr.AddrPort) {
		return syscall.EACCES
	}
	return s.finish(connect(s.fd, &sa))
}

// finish waits for a connection that was begun.
func (s *Socket) finish(errno Errno) Errno {
	if errno == syscall.EINTR { // it goes on by itself
		errno = syscall.EINPROGRESS
	}
	if errno != syscall.EINPROGRESS || s.flags&descriptor.Nonblock != 0 {
		return errno
	}
	if errno := s.wait(poll.Out, s.sendTimeout); errno != 0 {
		if errno == syscall.EAGAIN {
			return syscall.EINPROGRESS // as connect(2) has it with SO_SNDTIMEO
		}
		return errno
	}
	code, errno := getsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if errno != 0 {
		return errno
	}
	return Errno(code)
}

// mayReach asks the policy; a datagram socket may answer who spoke to it.
func (s *Socket) mayReach(addr netip.AddrPort) bool {
	if s.kind == descriptor.DatagramSocket && s.peers.has(addr) {
		return true
	}
	return s.net.policy.Connect(s.proto(), addr)
}

// Shutdown ends a direction of a connection.
func (s *Socket) Shutdown(how descriptor.How) Errno {
	switch how {
	case descriptor.ShutRead:
		return shutdown(s.fd, unix.SHUT_RD)
	case descriptor.ShutWrite:
		return shutdown(s.fd, unix.SHUT_WR)
	case descriptor.ShutBoth:
		return shutdown(s.fd, unix.SHUT_RDWR)
	}
	return syscall.EINVAL
}

// LocalAddr is the socket's own address.
func (s *Socket) LocalAddr() (Addr, Errno) { return s.name(unix.SYS_GETSOCKNAME) }

// PeerAddr is the address that the socket is connected to.
func (s *Socket) PeerAddr() (Addr, Errno) { return s.name(unix.SYS_GETPEERNAME) }

func (s *Socket) name(nr uintptr) (Addr, Errno) {
	var sa sockaddr
	if errno := name(nr, s.fd, &sa); errno != 0 {
		return Addr{}, errno
	}
	return sa.get(), 0
}
