// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

// The types of sockets.
const (
	typeAny = iota
	typeDatagram
	typeStream
)

// sock_open(family, type, opened): a new socket.
func sockOpen(x *extension, p []uint64) Errno {
	var family net.Family
	switch uint32(p[0]) {
	case familyInet4:
		family = net.IPv4
	case familyInet6:
		family = net.IPv6
	case familyUnix:
		family = net.Unix
	default:
		return preview1.ErrnoAfnosupport
	}
	kind := descriptor.StreamSocket
	switch uint32(p[1]) {
	case typeDatagram:
		kind = descriptor.DatagramSocket
	case typeStream:
	default:
		return preview1.ErrnoInval
	}
	opened, ok := x.Bytes(uint32(p[2]), 4)
	if !ok {
		return preview1.ErrnoFault
	}
	if x.System().Table.Full() {
		return preview1.ErrnoMfile
	}
	s, errno := x.net.Open(family, kind)
	if errno != 0 {
		return preview1.ErrnoOf(errno)
	}
	return x.insert(s, opened)
}

func (x *extension) insert(s descriptor.Socket, opened []byte) Errno {
	fd, errno := x.System().Table.Insert(s)
	if errno != 0 {
		s.Close()
		return preview1.ErrnoOf(errno)
	}
	le.PutUint32(opened, uint32(fd))
	return preview1.ErrnoSuccess
}

// sock_bind(fd, address, port): give a socket its own address.
func sockBind(x *extension, p []uint64) Errno {
	s, errno := x.socket(p[0], 0)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	addr, errno := x.peer(p[1], p[2])
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	return preview1.ErrnoOf(s.Bind(addr))
}

// sock_listen(fd, backlog): accept connections.
func sockListen(x *extension, p []uint64) Errno {
	s, errno := x.socket(p[0], 0)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	return preview1.ErrnoOf(s.Listen(int(int32(p[1]))))
}

// sock_connect(fd, address, port): connect a stream, or name a datagram
// socket's one peer.
func sockConnect(x *extension, p []uint64) Errno {
	s, errno := x.socket(p[0], 0)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	addr, errno := x.peer(p[1], p[2])
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	return preview1.ErrnoOf(s.Connect(addr))
}

// sock_accept(fd, accepted): as WASI's own, which has flags in between.
func sockAcceptV1(x *extension, p []uint64) Errno { return x.accept(p[0], 0, p[1]) }

// sock_accept_v2(fd, flags, accepted).
func sockAcceptV2(x *extension, p []uint64) Errno {
	flags, ok := preview1.Flags(p[1])
	if !ok || flags&^descriptor.Nonblock != 0 {
		return preview1.ErrnoInval
	}
	return x.accept(p[0], flags, p[2])
}

func (x *extension) accept(fd uint64, flags descriptor.Flags, ptr uint64) Errno {
	s, errno := x.socket(fd, 0)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	accepted, ok := x.Bytes(uint32(ptr), 4)
	if !ok {
		return preview1.ErrnoFault
	}
	if x.System().Table.Full() {
		return preview1.ErrnoMfile
	}
	c, err := s.Accept(flags)
	if err != 0 {
		return preview1.ErrnoOf(err)
	}
	return x.insert(c, accepted)
}

// sock_getlocaladdr(fd, address, version, port), first generation: the buffer's
// address, 4 or 6, and the port as 32 bits.
func sockGetlocaladdrV1(x *extension, p []uint64) Errno {
	return x.name(p[0], p[1], p[2], true, p[3], (*net.Socket).LocalAddr)
}

// sock_getlocaladdr(fd, address, port), second generation.
func sockGetlocaladdr(x *extension, p []uint64) Errno {
	return x.name(p[0], p[1], 0, false, p[2], (*net.Socket).LocalAddr)
}

// sock_getpeeraddr(fd, address, version, port).
func sockGetpeeraddrV1(x *extension, p []uint64) Errno {
	return x.name(p[0], p[1], p[2], true, p[3], (*net.Socket).PeerAddr)
}

// sock_getpeeraddr(fd, address, port).
func sockGetpeeraddr(x *extension, p []uint64) Errno {
	return x.name(p[0], p[1], 0, false, p[2], (*net.Socket).PeerAddr)
}

func (x *extension) name(fd, address, version uint64, versioned bool, port uint64,
	get func(*net.Socket) (net.Addr, net.Errno)) Errno {
	s, errno := x.socket(fd, 0)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	buf, errno := x.address(address)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	addr, err := get(s)
	if err != 0 {
		return preview1.ErrnoOf(err)
	}
	if errno := encodeAddress(buf, s.Family(), addr); errno != preview1.ErrnoSuccess {
		return errno
	}
	if versioned && !x.PutUint32(uint32(version), versionOf(addr)) || !x.PutUint32(uint32(port), uint32(addr.Port())) {
		return preview1.ErrnoFault
	}
	return preview1.ErrnoSuccess
}
