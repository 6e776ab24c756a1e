// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "net/netip"

// metadata are addresses outside the link-local ranges at which clouds answer
// for the machine's identity and credentials.
var metadata = [...]netip.Addr{
	netip.AddrFrom4([4]byte{100, 100, 100, 200}),                              // Alibaba
	netip.AddrFrom4([4]byte{168, 63, 129, 16}),                                // Azure
	netip.AddrFrom4([4]byte{192, 0, 0, 192}),                                  // Oracle
	netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54}), // EC2, fd00:ec2::254
	netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 3: 0xce, 14: 0x02, 15: 0x54}), // GCE, fd20:ce::254
}

// ec2Local is the range of EC2's other local services (DNS, time).
var ec2Local = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2}), 32)

// Special reports whether no rule by name may grant the address: loopback,
// link-local, unspecified (which means this host), multicast, broadcast and
// clouds' metadata services, also where an IPv6 address carries such an IPv4
// address inside.
func Special(addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() || addr.IsMulticast() {
		return true
	}
	if addr.Is4() {
		b := addr.As4()
		// 0.0.0.0/8 is this network, 240.0.0.0/4 reserved and broadcast.
		if b[0] == 0 || b[0] >= 240 {
			return true
		}
	} else if inner, ok := embedded4(addr); ok && Special(inner) {
		return true
	}
	for _, m := range metadata {
		if addr == m {
			return true
		}
	}
	return ec2Local.Contains(addr)
}

// embedded4 is the IPv4 address to which a translator or tunnel would carry a
// packet for an IPv6 address: IPv4-compatible (RFC 4291), 6to4 (RFC 3056) and
// the well-known prefix of NAT64 (RFC 6052).
func embedded4(addr netip.Addr) (netip.Addr, bool) {
	b := addr.As16()
	switch {
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case [12]byte(b[:12]) == [12]byte{}, [12]byte(b[:12]) == [12]byte{0, 0x64, 0xff, 0x9b}:
		return netip.AddrFrom4([4]byte(b[12:16])), true
	}
	return netip.Addr{}, false
}
