// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"math/bits"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

// The flags of a receive, in and out, as WASI has them.
const (
	recvPeek = 1 << iota
	recvWaitall
	allRecvFlags = 1<<iota - 1

	recvTruncated = 1
)

// receive does what the functions that receive have in common: it checks their
// parameters and receives.
func (x *extension) receive(fd, iovs, iovsLen, flags, count, outFlags uint64) (s *net.Socket, from net.Addr, errno Errno) {
	s, errno = x.socket(fd, rightRead)
	if errno != preview1.ErrnoSuccess {
		return nil, from, errno
	}
	if uint32(flags)&^allRecvFlags != 0 {
		return nil, from, preview1.ErrnoInval
	}
	var how descriptor.RecvFlags
	if flags&recvPeek != 0 {
		how |= descriptor.Peek
	}
	if flags&recvWaitall != 0 {
		how |= descriptor.WaitAll
	}
	vectors, errno := x.Vectors(uint32(iovs), uint32(iovsLen))
	if errno != preview1.ErrnoSuccess {
		return nil, from, errno
	}
	nread, ok1 := x.Bytes(uint32(count), 4)
	oflags, ok2 := x.Bytes(uint32(outFlags), 2)
	if !ok1 || !ok2 {
		return nil, from, preview1.ErrnoFault
	}
	n, from, truncated, err := s.RecvFrom(vectors, how)
	if err != 0 {
		return nil, from, preview1.ErrnoOf(err)
	}
	le.PutUint32(nread, uint32(n))
	le.PutUint16(oflags, 0)
	if truncated {
		le.PutUint16(oflags, recvTruncated)
	}
	return s, from, preview1.ErrnoSuccess
}

// sock_recv_from(fd, iovs, iovs_len, address, flags, nread, oflags), first
// generation. It has no place for the port, and the crate of its time reads the
// buffer of 16 bytes as a socket address of Linux with the port in guest order:
//
//	| family, 2 (2) | port (2) | IPv4 address (4) | … |
//
// An IPv6 address has no room there; its family, 10, and port have.
func sockRecvFromV1(x *extension, p []uint64) Errno {
	buf, errno := x.address(p[3])
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	s, from, errno := x.receive(p[0], p[1], p[2], p[4], p[5], p[6])
	switch {
	case errno != preview1.ErrnoSuccess || !from.IsValid():
		return errno
	case len(buf) >= storageSize, len(buf) < 16:
		return encodeAddress(buf, s.Family(), from)
	}
	clear(buf[:16])
	le.PutUint16(buf, uint16(s.Family()))
	le.PutUint16(buf[2:], from.Port())
	if from.Addr().Is4() {
		v := from.Addr().As4()
		copy(buf[4:], v[:])
	}
	return preview1.ErrnoSuccess
}

// sock_recv_from(fd, iovs, iovs_len, address, flags, port, nread, oflags),
// second generation. The port is 16 bits wide, in an integer that guests have
// set to zero, and in their order.
func sockRecvFrom(x *extension, p []uint64) Errno { return x.receiveFrom(p, false) }

// sock_recv_from_v2 is the same under the name that WasmEdge alone has, where
// the port is as WasmEdge leaves it: in network order.
func sockRecvFromV2(x *extension, p []uint64) Errno { return x.receiveFrom(p, true) }

func (x *extension) receiveFrom(p []uint64, networkOrder bool) Errno {
	buf, errno := x.address(p[3])
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	port, ok := x.Bytes(uint32(p[5]), 2)
	if !ok {
		return preview1.ErrnoFault
	}
	s, from, errno := x.receive(p[0], p[1], p[2], p[4], p[6], p[7])
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	if from.IsValid() {
		if networkOrder {
			le.PutUint16(port, bits.ReverseBytes16(from.Port()))
		} else {
			le.PutUint16(port, from.Port())
		}
	} else if s.Family() != net.Unix {
		return preview1.ErrnoSuccess // a stream: no address, as from recvfrom(2)
	}
	return encodeAddress(buf, s.Family(), from)
}

// sock_recv_v2(fd, iovs, iovs_len, flags, nread, oflags) is WASI's sock_recv.
func sockRecvV2(x *extension, p []uint64) Errno {
	_, _, errno := x.receive(p[0], p[1], p[2], p[3], p[4], p[5])
	return errno
}

// sock_send_v2(fd, iovs, iovs_len, flags, nwritten) is WASI's sock_send.
func sockSendV2(x *extension, p []uint64) Errno {
	return x.send(p[0], p[1], p[2], p[3], p[4], func(s *net.Socket, iovs [][]byte) (int, net.Errno) {
		return s.Send(iovs)
	})
}

// sock_send_to(fd, iovs, iovs_len, address, port, flags, nwritten), the same in
// both generations. Without an address it is sock_send.
func sockSendTo(x *extension, p []uint64) Errno {
	var addr net.Addr
	if uint32(p[3]) != 0 {
		buf, errno := x.address(p[3])
		if errno != preview1.ErrnoSuccess {
			return errno
		}
		if len(buf) > 0 {
			if addr, errno = decodeAddress(buf, p[4]); errno != preview1.ErrnoSuccess {
				return errno
			}
		}
	}
	if !addr.IsValid() && addr.Path == "" {
		return sockSendV2(x, []uint64{p[0], p[1], p[2], p[5], p[6]})
	}
	return x.send(p[0], p[1], p[2], p[5], p[6], func(s *net.Socket, iovs [][]byte) (int, net.Errno) {
		return s.SendTo(iovs, addr)
	})
}

func (x *extension) send(fd, iovs, iovsLen, flags, count uint64, f func(*net.Socket, [][]byte) (int, net.Errno)) Errno {
	s, errno := x.socket(fd, rightWrite)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	if uint32(flags) != 0 {
		return preview1.ErrnoInval
	}
	vectors, errno := x.Vectors(uint32(iovs), uint32(iovsLen))
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	nwritten, ok := x.Bytes(uint32(count), 4)
	if !ok {
		return preview1.ErrnoFault
	}
	n, err := f(s, vectors)
	if err != 0 {
		return preview1.ErrnoOf(err)
	}
	le.PutUint32(nwritten, uint32(n))
	return preview1.ErrnoSuccess
}
