// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import "net/netip"

// maxPeers bounds the senders that a datagram socket remembers: a server
// answers soon or not at all.
const maxPeers = 1024

// peers are the last senders heard, the oldest of which goes first.
type peers struct {
	known map[netip.AddrPort]struct{}
	ring  []netip.AddrPort
	next  int
}

func (p *peers) has(addr netip.AddrPort) bool {
	if p.known == nil {
		return false
	}
	_, ok := p.known[plain(addr)]
	return ok
}

func (p *peers) add(addr netip.AddrPort) {
	addr = plain(addr)
	if _, ok := p.known[addr]; ok {
		return
	}
	if p.known == nil {
		p.known = make(map[netip.AddrPort]struct{})
	}
	if len(p.ring) < maxPeers {
		p.ring = append(p.ring, addr)
	} else {
		delete(p.known, p.ring[p.next])
		p.ring[p.next] = addr
		p.next = (p.next + 1) % maxPeers
	}
	p.known[addr] = struct{}{}
}

// plain takes an IPv4 address out of IPv6.
func plain(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
