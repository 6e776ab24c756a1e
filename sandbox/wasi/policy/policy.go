// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy says which addresses, names and paths a guest may listen on,
// connect to and look up.
//
// [Grants] is plain data: it is parsed from annotations, narrowed to the
// operator's ceiling with [Intersect], and travels in the sandbox's
// configuration. [Policy] is the judge made from it inside the sandbox: it
// remembers which addresses were looked up under a granted name, so that a
// name which later points elsewhere grants nothing.
//
// The package makes no system call and imports nothing that does.
package policy

import (
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// Proto is a transport: TCP, UDP or a Unix socket bound to a path.
type Proto string

// The transports that a rule can name.
const (
	TCP  Proto = "tcp"
	UDP  Proto = "udp"
	Unix Proto = "unix"
)

// Grants is what a container may do with the network. The zero value grants
// nothing.
type Grants struct {
	// ListenAny lets the guest bind any TCP and UDP address. It does not
	// reach Unix sockets, which only a rule grants.
	ListenAny bool
	// Listen are the addresses and paths that may be bound.
	Listen []ListenRule
	// ConnectAny lets the guest connect to any TCP and UDP address and look
	// up any name. It does not reach Unix sockets.
	ConnectAny bool
	// Connect are the destinations that may be connected to.
	Connect []ConnectRule
}

// Free are the grants of a container in a network namespace of its own
// without annotations: TCP and UDP as for any container.
func Free() Grants { return Grants{ListenAny: true, ConnectAny: true} }

// ListenRule grants binding one port, on every address or on those within a
// prefix, or one Unix socket path.
type ListenRule struct {
	Proto Proto
	// Prefix holds the addresses; the zero prefix means every address.
	Prefix netip.Prefix
	// Port is the port; 0 grants a port of the kernel's choice.
	Port uint16
	// Path is a Unix socket's path as the guest names it, or with a slash
	// at its end the directory that may hold sockets.
	Path string
}

// Addr is the one address that the rule names. It is false where the rule
// means a range of addresses; the zero address with true means every address.
func (r ListenRule) Addr() (netip.Addr, bool) {
	if !r.Prefix.IsValid() {
		return netip.Addr{}, true
	}
	return r.Prefix.Addr(), r.Prefix.IsSingleIP()
}

// String gives the rule in the form that [ParseListen] reads.
func (r ListenRule) String() string {
	if r.Proto == Unix {
		return "unix:" + r.Path
	}
	s := string(r.Proto) + ":"
	if r.Prefix.IsValid() {
		s += prefixString(r.Prefix) + ":"
	}
	return s + strconv.Itoa(int(r.Port))
}

// allows reports whether the rule grants binding addr.
func (r ListenRule) allows(proto Proto, addr netip.AddrPort) bool {
	return r.Proto == proto && r.Port == addr.Port() &&
		(!r.Prefix.IsValid() || r.Prefix.Contains(addr.Addr().Unmap().WithZone("")))
}

// ConnectRule grants connections to one port of a host by name, of a range of
// addresses, or, when it has both, of a host as far as its addresses lie in
// the range; or to one Unix socket path.
type ConnectRule struct {
	// Name is a host name in lower case without a final dot, or *.suffix
	// for every name below the suffix, at any depth.
	Name string
	// Prefix holds the addresses.
	Prefix netip.Prefix
	// Port is the port, never 0 but for a path.
	Port uint16
	// Path is a Unix socket's path, as in [ListenRule].
	Path string
}

// String gives the rule in the form that [ParseConnect] reads.
func (r ConnectRule) String() string {
	if r.Path != "" {
		return "unix:" + r.Path
	}
	host := r.Name
	switch {
	case host == "":
		host = prefixString(r.Prefix)
	case r.Prefix.IsValid():
		host += "@" + prefixString(r.Prefix)
	}
	return host + ":" + strconv.Itoa(int(r.Port))
}

// matchesName reports whether the rule is about this name, already in lower
// case and without a final dot.
func (r ConnectRule) matchesName(name string) bool {
	if suffix, ok := strings.CutPrefix(r.Name, "*"); ok {
		return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
	}
	return r.Name != "" && r.Name == name
}

// allowsResolved reports whether the rule, which is by name, grants an address
// that its name was looked up to.
func (r ConnectRule) allowsResolved(addr netip.Addr) bool {
	return !Special(addr) && (!r.Prefix.IsValid() || r.Prefix.Contains(addr))
}

// allowsAddr reports whether the rule, without any look-up, grants an address.
func (r ConnectRule) allowsAddr(addr netip.Addr) bool {
	return r.Name == "" && r.Prefix.IsValid() && r.Prefix.Contains(addr)
}

// matchesPath reports whether a rule's path grants the given one.
func matchesPath(rule, p string) bool {
	if rule == "" || p == "" || path.Clean(p) != p {
		return false
	}
	if strings.HasSuffix(rule, "/") {
		return len(p) > len(rule) && strings.HasPrefix(p, rule)
	}
	return rule == p
}

// prefixString writes a prefix as rules do: no length for a single address,
// and in brackets when it has colons.
func prefixString(p netip.Prefix) string {
	s := p.String()
	if p.IsSingleIP() {
		s = p.Addr().String()
	}
	if p.Addr().Is6() {
		s = "[" + s + "]"
	}
	return s
}
