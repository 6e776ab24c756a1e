// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// Listener is a socket that a guest finds open.
type Listener struct {
	*Socket
	// Name is the socket's in LISTEN_FDNAMES: transport, address if the rule
	// has one, and port, without colons, which separate names there.
	Name string
}

// Listen opens a listening socket (TCP) or a bound one (UDP) for every rule, in
// the process's network namespace. It may be called before the namespace has
// its addresses, and before the process gives up the right to low ports. On an
// error none stays open. Unix sockets are not preopened.
func (n *Network) Listen(rules []policy.ListenRule) ([]Listener, error) {
	var listeners []Listener
	for _, rule := range rules {
		if rule.Proto == policy.Unix {
			continue
		}
		s, err := n.listen(rule)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, err
		}
		listeners = append(listeners, Listener{Socket: s, Name: listenerName(rule)})
	}
	return listeners, nil
}

func (n *Network) listen(rule policy.ListenRule) (*Socket, error) {
	addr, ok := rule.Addr()
	if !ok {
		return nil, fmt.Errorf("listen on %s: a range of addresses cannot be listened on: name one address or none", rule)
	}
	kind := descriptor.StreamSocket
	if rule.Proto == policy.UDP {
		kind = descriptor.DatagramSocket
	}
	var s *Socket
	var errno Errno
	if addr.IsValid() {
		s, errno = n.bound(addr, rule.Port, kind)
	} else if s, errno = n.bound(netip.IPv6Unspecified(), rule.Port, kind); noIPv6(errno) {
		s, errno = n.bound(netip.IPv4Unspecified(), rule.Port, kind)
	}
	switch errno {
	case 0:
		return s, nil
	case syscall.EACCES:
		return nil, fmt.Errorf("listen on %s: %w: the user needs NET_BIND_SERVICE, or the container the sysctl net.ipv4.ip_unprivileged_port_start=0", rule, errno)
	}
	return nil, fmt.Errorf("listen on %s: %w", rule, errno)
}

// backlog is how many connections may wait to be accepted; the kernel bounds it
// to net.core.somaxconn.
const backlog = 4096

// noIPv6 is how a kernel or namespace without IPv6 answers.
func noIPv6(errno Errno) bool {
	return errno == syscall.EAFNOSUPPORT || errno == syscall.EADDRNOTAVAIL
}

// bound makes a preopened socket. It bypasses the judgement of a guest's bind:
// the rule is what grants it.
func (n *Network) bound(addr netip.Addr, port uint16, kind descriptor.Kind) (*Socket, Errno) {
	family := IPv4
	if addr.Is6() {
		family = IPv6
	}
	s, errno := n.Open(family, kind)
	if errno != 0 {
		return nil, errno
	}
	s.bound, s.served, s.unseen = netip.AddrPortFrom(addr, port), true, true
	if errno := s.prepare(); errno != 0 {
		s.Close()
		return nil, errno
	}
	return s, 0
}

func (s *Socket) prepare() Errno {
	// A network may be set up after the sandbox is made, so an address need not
	// be there yet.
	level, free := unix.IPPROTO_IP, unix.IP_FREEBIND
	if s.family == IPv6 {
		level, free = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
	}
	if errno := setsockoptInt(s.fd, level, free, 1); errno != 0 {
		return errno
	}
	if s.kind == descriptor.StreamSocket {
		if errno := setsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); errno != 0 {
			return errno
		}
	}
	var sa sockaddr
	if errno := sa.set(s.family, s.bound); errno != 0 {
		return errno
	}
	if errno := bind(s.fd, &sa); errno != 0 || s.kind != descriptor.StreamSocket {
		return errno
	}
	return listen(s.fd, backlog)
}

func listenerName(rule policy.ListenRule) string {
	name := string(rule.Proto) + "-"
	if addr, _ := rule.Addr(); addr.IsValid() {
		name += strings.ReplaceAll(addr.String(), ":", "_") + "-"
	}
	return name + strconv.Itoa(int(rule.Port))
}
