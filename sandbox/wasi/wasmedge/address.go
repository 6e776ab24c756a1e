// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

// le is the byte order of guest memory.
var le = binary.LittleEndian

// The families of addresses in the extension.
const (
	familyUnspec = iota
	familyInet4
	familyInet6
	familyUnix
)

// storageSize is the length of an address buffer of the second generation:
//
//	| family (2) | address: 4, 16, or a path with its NUL … |
const storageSize = 128

// address gives the buffer that a guest's address structure points at.
//
//	| pointer (4) | length (4) |
func (x *extension) address(ptr uint64) ([]byte, Errno) {
	head, ok := x.Bytes(uint32(ptr), 8)
	if !ok {
		return nil, preview1.ErrnoFault
	}
	buf, ok := x.Bytes(le.Uint32(head), le.Uint32(head[4:]))
	if !ok {
		return nil, preview1.ErrnoFault
	}
	return buf, preview1.ErrnoSuccess
}

// decodeAddress reads an address buffer. No family in it gives the zero Addr,
// which is no error only to some.
func decodeAddress(b []byte, port uint64) (net.Addr, Errno) {
	if len(b) == storageSize {
		family := le.Uint16(b)
		b = b[2:]
		switch family {
		case familyUnspec:
			return net.Addr{}, preview1.ErrnoSuccess
		case familyInet4:
			b = b[:4]
		case familyInet6:
			b = b[:16]
		case familyUnix:
			n := bytes.IndexByte(b, 0)
			if n <= 0 { // not terminated, or abstract
				return net.Addr{}, preview1.ErrnoInval
			}
			return net.Addr{Path: string(b[:n])}, preview1.ErrnoSuccess
		default:
			return net.Addr{}, preview1.ErrnoAfnosupport
		}
	}
	if uint32(port) > 1<<16-1 {
		return net.Addr{}, preview1.ErrnoInval
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return net.Addr{}, preview1.ErrnoInval
	}
	return net.Addr{AddrPort: netip.AddrPortFrom(ip, uint16(port))}, preview1.ErrnoSuccess
}

// peer reads the address of one to connect or bind to, which must be there.
func (x *extension) peer(ptr, port uint64) (net.Addr, Errno) {
	b, errno := x.address(ptr)
	if errno != preview1.ErrnoSuccess {
		return net.Addr{}, errno
	}
	addr, errno := decodeAddress(b, port)
	if errno == preview1.ErrnoSuccess && !addr.IsValid() && addr.Path == "" {
		errno = preview1.ErrnoAfnosupport
	}
	return addr, errno
}

// encodeAddress fills an address buffer of either generation; EINVAL when it
// has no room.
func encodeAddress(b []byte, family net.Family, addr net.Addr) Errno {
	if len(b) >= storageSize {
		clear(b[:storageSize])
		switch family {
		case net.IPv4:
			le.PutUint16(b, familyInet4)
		case net.IPv6:
			le.PutUint16(b, familyInet6)
		case net.Unix:
			le.PutUint16(b, familyUnix)
			copy(b[2:storageSize-1], addr.Path)
			return preview1.ErrnoSuccess
		}
		b = b[2:]
	}
	switch ip := addr.Addr(); {
	case !ip.IsValid():
		return preview1.ErrnoInval
	case ip.Is4() && len(b) >= 4:
		v := ip.As4()
		copy(b, v[:])
	case ip.Is6() && len(b) >= 16:
		v := ip.As16()
		copy(b, v[:])
	default:
		return preview1.ErrnoInval
	}
	return preview1.ErrnoSuccess
}

// versionOf is how the first generation tells of a family: 4 or 6.
func versionOf(addr net.Addr) uint32 {
	if addr.Addr().Is4() {
		return 4
	}
	return 6
}
