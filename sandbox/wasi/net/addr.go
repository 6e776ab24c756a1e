// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Addr is the address of a socket: an IP address and port, or a Unix socket's
// path. The zero Addr is none.
type Addr struct {
	netip.AddrPort
	Path string
}

// sockaddr is an address in the kernel's form, of any family.
type sockaddr struct {
	buf [unix.SizeofSockaddrUnix]byte
	len uint32
}

func (s *sockaddr) family() Family {
	if s.len < 2 {
		return 0
	}
	return Family(binary.NativeEndian.Uint16(s.buf[:]))
}

func (s *sockaddr) pointer() unsafe.Pointer {
	if s == nil {
		return nil
	}
	return unsafe.Pointer(&s.buf)
}

// set writes an IP address for a socket of the family: an IPv6 socket reaches
// IPv4 addresses mapped into IPv6, an IPv4 socket no others.
func (s *sockaddr) set(family Family, addr netip.AddrPort) Errno {
	ip := addr.Addr()
	switch {
	case !ip.IsValid():
		return syscall.EINVAL
	case family == IPv4 && (ip.Is4() || ip.Is4In6()):
		s.len = unix.SizeofSockaddrInet4
		b := ip.Unmap().As4()
		copy(s.buf[4:8], b[:])
		clear(s.buf[8:16])
	case family == IPv6:
		s.len = unix.SizeofSockaddrInet6
		b := ip.As16()
		clear(s.buf[4:8])
		copy(s.buf[8:24], b[:])
		clear(s.buf[24:28])
	default:
		return syscall.EAFNOSUPPORT
	}
	binary.NativeEndian.PutUint16(s.buf[:], uint16(family))
	binary.BigEndian.PutUint16(s.buf[2:], addr.Port())
	return 0
}

// setPath writes a path, which names the socket itself and not, by a leading
// zero byte, something abstract.
func (s *sockaddr) setPath(name string) Errno {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return syscall.EINVAL
	}
	if len(name) >= len(s.buf)-2 {
		return syscall.ENAMETOOLONG
	}
	binary.NativeEndian.PutUint16(s.buf[:], unix.AF_UNIX)
	s.buf[2+copy(s.buf[2:], name)] = 0
	s.len = uint32(2 + len(name) + 1)
	return 0
}

// get reads what the kernel wrote.
func (s *sockaddr) get() Addr {
	n := min(int(s.len), len(s.buf))
	port := func() uint16 { return binary.BigEndian.Uint16(s.buf[2:]) }
	switch family := s.family(); {
	case family == IPv4 && n >= unix.SizeofSockaddrInet4:
		return Addr{AddrPort: netip.AddrPortFrom(netip.AddrFrom4([4]byte(s.buf[4:8])), port())}
	case family == IPv6 && n >= unix.SizeofSockaddrInet6:
		return Addr{AddrPort: netip.AddrPortFrom(netip.AddrFrom16([16]byte(s.buf[8:24])), port())}
	case family == Unix && n > 3 && s.buf[2] != 0:
		path := s.buf[2:n]
		if i := bytes.IndexByte(path, 0); i >= 0 {
			path = path[:i]
		}
		return Addr{Path: string(path)}
	}
	return Addr{}
}
