// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package net is the network as a guest may use it: TCP, UDP and, by path, Unix
// sockets in the process's network namespace, within a policy.
//
// Every socket is nonblocking underneath. An operation that has to wait does so
// in ppoll(2), unless the guest made the socket nonblocking on its side; so
// nothing here needs the Go runtime's poller, a goroutine or a deadline timer.
// No operation raises SIGPIPE, and those of a guest's steady state allocate
// nothing.
//
// What it needs of the kernel is in [Syscalls].
package net

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/resolve"
)

// Errno is the result of an operation; zero is success.
type Errno = descriptor.Errno

// Family is a family of addresses, with the kernel's numbers.
type Family uint8

// Syscalls are the system calls by which this package and package resolve serve
// a guest. Sockets are of families AF_INET, AF_INET6 and AF_UNIX, of types
// SOCK_STREAM and SOCK_DGRAM, and of protocol 0.
var Syscalls = []string{
	"socket", "bind", "connect", "listen", "accept4", "recvmsg", "sendmsg", "shutdown",
	"getsockname", "getpeername", "getsockopt", "setsockopt", "close", "fstat", "ppoll",
	"openat", "newfstatat", "fchdir", // for Unix sockets
	"openat2", "read", "getrandom", // for name look-up
}

// The families that a guest can use.
const (
	IPv4 Family = unix.AF_INET
	IPv6 Family = unix.AF_INET6
	Unix Family = unix.AF_UNIX
)

// Network makes sockets for one guest, which is one thread.
type Network struct {
	policy   *policy.Policy
	resolver *resolve.Resolver
	// OpenDir opens the directory in which a Unix socket lies, by its absolute
	// path as the guest names it, within the guest's preopens and without
	// following symbolic links; with change set something is to be made in it.
	// It is nil where the guest has no Unix sockets.
	OpenDir func(path string, change bool) (fd int, errno Errno)
}

// New makes the network of a guest. The resolver may be nil: then no name can
// be looked up.
func New(p *policy.Policy, r *resolve.Resolver) *Network {
	return &Network{policy: p, resolver: r}
}

// Begin is called once the container's files and addresses are final and before
// the guest's first instruction. Where connections are granted by name it fixes
// what /etc/hosts and /etc/resolv.conf say, lest the guest rewrite them.
func (n *Network) Begin() {
	if n.resolver != nil && !n.policy.Grants().ConnectAny {
		n.resolver.Pin()
	}
}

// Open makes a socket, of kind StreamSocket or DatagramSocket. An IPv6 socket
// takes IPv4 too until the guest says otherwise.
func (n *Network) Open(family Family, kind descriptor.Kind) (*Socket, Errno) {
	kernel := unix.SOCK_STREAM
	switch kind {
	case descriptor.StreamSocket:
	case descriptor.DatagramSocket:
		kernel = unix.SOCK_DGRAM
	default:
		return nil, syscall.EINVAL
	}
	switch family {
	case IPv4, IPv6:
	case Unix:
		if n.OpenDir == nil || !n.policy.Unix() {
			return nil, syscall.EAFNOSUPPORT
		}
	default:
		return nil, syscall.EAFNOSUPPORT
	}
	fd, errno := socket(int(family), kernel)
	if errno != 0 {
		return nil, errno
	}
	if family == IPv6 {
		// The default is a sysctl of the namespace.
		if errno := setsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); errno != 0 {
			closeFD(fd)
			return nil, errno
		}
	}
	return &Socket{fd: fd, net: n, family: family, kind: kind}, 0
}

// Lookup gives the addresses of a host name, as far as the guest may know them.
// A refusal is EACCES; errors of the look-up itself wrap those of package
// resolve.
func (n *Network) Lookup(name string, family resolve.Family) (resolve.Result, error) {
	if addr, ok := resolve.Numeric(name); ok {
		if (family == resolve.IPv4 && !addr.Is4()) || (family == resolve.IPv6 && !addr.Is6()) {
			return resolve.Result{}, resolve.ErrNoAddress
		}
		return resolve.Result{Addrs: []netip.Addr{addr}, Canonical: name}, nil
	}
	scope := n.policy.Lookup(name)
	if scope == policy.Nowhere || n.resolver == nil {
		return resolve.Result{}, syscall.EACCES
	}
	res, err := n.resolver.Lookup(name, resolve.Options{Family: family, HostsOnly: scope == policy.HostsOnly})
	if err != nil {
		return resolve.Result{}, err
	}
	if res.Addrs = n.policy.Resolved(name, res.Addrs); len(res.Addrs) == 0 {
		return resolve.Result{}, syscall.EACCES
	}
	return res, nil
}

// Port gives the port of a service by number or name; transport is tcp, udp or
// empty for either.
func (n *Network) Port(service, transport string) (uint16, bool) {
	if n.resolver == nil {
		return resolve.New(noFile).Port(service, transport)
	}
	return n.resolver.Port(service, transport)
}

func noFile(string, int) ([]byte, error) { return nil, errors.ErrUnsupported }
