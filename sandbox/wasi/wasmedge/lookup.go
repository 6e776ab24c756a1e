// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"syscall"

	"containerd-shim-wazero/sandbox/wasi/preview1"
	"containerd-shim-wazero/sandbox/wasi/resolve"
)

// An address info of the guest, one of a list that it prepares:
//
//	 0 | flags (2) | family (1) | socktype (1) |
//	 4 | protocol (1) | … (3) |
//	 8 | length of a kernel's socket address (4) |
//	12 | pointer to a socket address (4) |
//	16 | pointer to room for a name (4) |
//	20 | length of the name, before that of the room (4) |
//	24 | pointer to the next (4) |
//
// and a socket address:
//
//	0 | family (1) | … (3) |
//	4 | length of the data, before that of its room (4) |
//	8 | pointer to the data (4) |
//
// whose data are a kernel's socket address without its family:
//
//	IPv4 | port, big endian (2) | address (4)  | zero (8) |
//	IPv6 | port, big endian (2) | flow (4)     | address (16) | scope (4) |
const (
	infoSize     = 28
	sockaddrSize = 12
	data4, data6 = 14, 26
	len4, len6   = 16, 28 // of the kernel's socket addresses
	// stealthrocket/net has room for a kernel's socket address in each of its
	// infos, says so, and looks for an IPv6 address directly behind the port.
	lenDense, dataDense = 16, 18
)

// The flags of a look-up.
const (
	aiPassive = 1 << iota
	aiCanonname
	aiNumerichost
	aiNumericserv
	aiV4mapped
	aiAll
	aiAddrconfig
	allAiFlags = 1<<iota - 1
)

// The protocols of a look-up.
const (
	protocolIP = iota
	protocolTCP
	protocolUDP
)

// request is a look-up as a guest asks for it.
type request struct {
	node, service              string
	flags                      uint16
	family, socktype, protocol uint8
}

const (
	maxNode    = 1024 // a name has at most 253
	maxService = 64
)

// sock_getaddrinfo(node, node_len, service, service_len, hints, results,
// max_results, n): look a name up. results points at a pointer to the first of
// the guest's infos.
func sockGetaddrinfo(x *extension, p []uint64) Errno {
	req, errno := x.request(p)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	room := uint32(p[6])
	count, ok := x.Bytes(uint32(p[7]), 4)
	if !ok {
		return preview1.ErrnoFault
	}
	head, ok := x.Bytes(uint32(p[5]), 4)
	if !ok {
		return preview1.ErrnoFault
	}
	if room == 0 {
		return ErrnoAiMemory
	}
	addrs, canonical, port, errno := x.lookup(&req)
	if errno != preview1.ErrnoSuccess {
		return errno
	}
	n := uint32(0)
	for info := le.Uint32(head); n < room && int(n) < len(addrs) && info != 0; n++ {
		next, errno := x.putInfo(info, &req, netip.AddrPortFrom(addrs[n], port), canonical)
		if errno != preview1.ErrnoSuccess {
			return errno
		}
		info, canonical = next, ""
	}
	le.PutUint32(count, n)
	return preview1.ErrnoSuccess
}

// request reads and checks the first parameters of a look-up.
func (x *extension) request(p []uint64) (req request, errno Errno) {
	node, ok1 := x.Bytes(uint32(p[0]), uint32(p[1]))
	service, ok2 := x.Bytes(uint32(p[2]), uint32(p[3]))
	hints, ok3 := x.Bytes(uint32(p[4]), infoSize)
	if !ok1 || !ok2 || !ok3 {
		return req, preview1.ErrnoFault
	}
	if len(node) > maxNode {
		return req, ErrnoAiNoname
	}
	if len(service) > maxService {
		return req, ErrnoAiService
	}
	req = request{
		node: cString(node), service: cString(service),
		flags: le.Uint16(hints), family: hints[2], socktype: hints[3], protocol: hints[4],
	}
	switch {
	case req.node == "" && req.service == "":
		return req, ErrnoAiNoname
	case req.flags&^allAiFlags != 0, req.flags&aiCanonname != 0 && req.node == "":
		return req, ErrnoAiBadflags
	case req.family > familyInet6:
		return req, ErrnoAiFamily
	case req.socktype > typeStream, req.protocol > protocolUDP:
		return req, ErrnoAiSocktype
	}
	return req, preview1.ErrnoSuccess
}

// lookup finds the addresses and the port.
func (x *extension) lookup(req *request) (addrs []netip.Addr, canonical string, port uint16, errno Errno) {
	transport := ""
	switch {
	case req.socktype == typeDatagram || req.protocol == protocolUDP:
		transport = "udp"
	case req.socktype == typeStream || req.protocol == protocolTCP:
		transport = "tcp"
	}
	if req.flags&aiNumericserv != 0 && strings.Trim(req.service, "0123456789") != "" {
		return nil, "", 0, ErrnoAiNoname
	}
	port, ok := x.net.Port(req.service, transport)
	if !ok {
		return nil, "", 0, ErrnoAiService
	}
	if req.node == "" {
		return own(req), "", port, preview1.ErrnoSuccess
	}
	if _, ok := resolve.Numeric(req.node); !ok && req.flags&aiNumerichost != 0 {
		return nil, "", 0, ErrnoAiNoname
	}
	family := resolve.Any
	switch req.family {
	case familyInet4:
		family = resolve.IPv4
	case familyInet6:
		family = resolve.IPv6
	}
	res, err := x.net.Lookup(req.node, family)
	if err != nil {
		return nil, "", 0, lookupErrno(err)
	}
	return res.Addrs, res.Canonical, port, preview1.ErrnoSuccess
}

// own are the addresses of this host: to bind, or to connect to.
func own(req *request) (addrs []netip.Addr) {
	any4, any6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	if req.flags&aiPassive != 0 {
		any4, any6 = netip.IPv4Unspecified(), netip.IPv6Unspecified()
	}
	if req.family != familyInet6 {
		addrs = append(addrs, any4)
	}
	if req.family != familyInet4 {
		addrs = append(addrs, any6)
	}
	return addrs
}

func lookupErrno(err error) Errno {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return preview1.ErrnoOf(errno)
	case errors.Is(err, resolve.ErrNotFound), errors.Is(err, resolve.ErrBadName):
		return ErrnoAiNoname
	case errors.Is(err, resolve.ErrNoAddress):
		return ErrnoAiNodata
	case errors.Is(err, resolve.ErrTemporary):
		return ErrnoAiAgain
	}
	return ErrnoAiFail
}

// putInfo fills one of the guest's infos and returns the next.
func (x *extension) putInfo(ptr uint32, req *request, addr netip.AddrPort, canonical string) (next uint32, errno Errno) {
	info, ok := x.Bytes(ptr, infoSize)
	if !ok {
		return 0, preview1.ErrnoFault
	}
	sockaddr, ok := x.Bytes(le.Uint32(info[12:]), sockaddrSize)
	if !ok {
		return 0, preview1.ErrnoFault
	}
	size, family, length, at := data4, uint8(familyInet4), uint32(len4), 2
	if addr.Addr().Is6() {
		size, family, length, at = data6, familyInet6, len6, 6
		if le.Uint32(info[8:]) == lenDense {
			size, length, at = dataDense, lenDense, 2
		}
	}
	// The Rust crate's room is for IPv6 whatever it says.
	room := le.Uint32(sockaddr[4:])
	if room == data4 {
		room = data6
	}
	data, ok := x.Bytes(le.Uint32(sockaddr[8:]), uint32(size))
	if !ok || room < uint32(size) {
		return 0, preview1.ErrnoFault
	}
	clear(data)
	binary.BigEndian.PutUint16(data, addr.Port())
	copy(data[at:], addr.Addr().AsSlice())
	sockaddr[0] = family
	le.PutUint32(sockaddr[4:], uint32(size))
	putHints(info, req, family)
	le.PutUint32(info[8:], length)
	if errno := x.putName(info, canonical, req.flags); errno != preview1.ErrnoSuccess {
		return 0, errno
	}
	return le.Uint32(info[24:]), preview1.ErrnoSuccess
}

func putHints(info []byte, req *request, family uint8) {
	socktype, protocol := req.socktype, req.protocol
	if socktype == typeAny {
		socktype = typeStream
		if protocol == protocolUDP {
			socktype = typeDatagram
		}
	}
	if protocol == protocolIP {
		protocol = protocolTCP
		if socktype == typeDatagram {
			protocol = protocolUDP
		}
	}
	le.PutUint16(info, 0)
	info[2], info[3], info[4] = family, socktype, protocol
}

// putName writes the canonical name, with its NUL, if it was asked for and has
// room; else the name's length is zero.
func (x *extension) putName(info []byte, name string, flags uint16) Errno {
	room := le.Uint32(info[20:])
	le.PutUint32(info[20:], 0)
	if flags&aiCanonname == 0 || name == "" || uint64(room) < uint64(len(name))+1 {
		return preview1.ErrnoSuccess
	}
	b, ok := x.Bytes(le.Uint32(info[16:]), uint32(len(name)+1))
	if !ok {
		return preview1.ErrnoFault
	}
	b[copy(b, name)] = 0
	le.PutUint32(info[20:], uint32(len(name)))
	return preview1.ErrnoSuccess
}
