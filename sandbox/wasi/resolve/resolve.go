// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package resolve looks up host names as the C library of a container would:
// by the container's own /etc/hosts and /etc/resolv.conf, with its name
// servers, search domains, timeouts and attempts. It never touches the host's
// resolver and does not use package net: its sockets are plain descriptors
// waited for with ppoll(2), so that a look-up needs no goroutine, no /proc and
// few system calls.
//
// Replies are believed only when they come from the server that was asked
// (connected sockets with ports of the kernel's choice) with the random
// identifier and the very question that was sent, and only as far as they
// follow from the name in question.
//
// System calls: openat2, fstat, read, close, socket, connect, sendmsg,
// getsockopt, ppoll, getrandom.
package resolve

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// The ways in which a look-up fails; errors of [Resolver.Lookup] wrap one.
var (
	ErrNotFound  = errors.New("no such host")
	ErrNoAddress = errors.New("host has no address of this family")
	ErrTemporary = errors.New("name servers do not answer")
	ErrFailed    = errors.New("name servers answer with an error")
	ErrBadName   = errors.New("not a host name")
)

// Family limits a look-up to addresses of one kind.
type Family int

// The families of addresses.
const (
	Any Family = iota
	IPv4
	IPv6
)

func (f Family) has(addr netip.Addr) bool {
	return f == Any || addr.Is4() == (f == IPv4)
}

// Options change one look-up.
type Options struct {
	Family Family
	// HostsOnly asks no server.
	HostsOnly bool
}

// Result is what a name was looked up to.
type Result struct {
	// Addrs are at most [MaxAddrs], those of a family that the network can
	// reach first, without doubles, never IPv4 mapped into IPv6.
	Addrs []netip.Addr
	// Canonical is the name's canonical form without a final dot.
	Canonical string
}

// MaxAddrs is how many addresses a look-up gives at most.
const MaxAddrs = 64

const (
	hostsPath    = "/etc/hosts"
	resolvPath   = "/etc/resolv.conf"
	servicesPath = "/etc/services"
	maxHosts     = 1 << 20 // bytes of a file that are read
	maxResolv    = 64 << 10
	maxServices  = 256 << 10
)

// ReadFile reads the first bytes, at most limit, of a file of the container.
type ReadFile func(path string, limit int) ([]byte, error)

// Resolver looks names up.
type Resolver struct {
	read   ReadFile
	pinned map[string][]byte // files as they were at Pin
	turn   atomic.Uint32     // of the servers, with option rotate

	unit time.Duration // of timeout in resolv.conf: a second
	port uint16        // of name servers: 53
}

// New makes a resolver over the files that read gives it.
func New(read ReadFile) *Resolver {
	return &Resolver{read: read, unit: time.Second, port: 53}
}

// Pin reads the files once and for all. A guest whose connections are granted
// by name must not decide by writing to /etc/hosts what its names mean, so this
// is called before its first instruction.
func (r *Resolver) Pin() {
	pinned := make(map[string][]byte, 2)
	for path, limit := range map[string]int{hostsPath: maxHosts, resolvPath: maxResolv} {
		pinned[path], _ = r.read(path, limit) // absent means empty
	}
	r.pinned = pinned
}

// file gives a file's content, empty when it cannot be read, as for the C
// library.
func (r *Resolver) file(path string, limit int) []byte {
	if r.pinned != nil {
		return r.pinned[path]
	}
	data, _ := r.read(path, limit)
	return data
}

// Lookup gives the addresses of a host name or of an address in text form. It
// waits as long as resolv.conf says.
func (r *Resolver) Lookup(name string, opts Options) (Result, error) {
	if addr, ok := Numeric(name); ok {
		if !opts.Family.has(addr) {
			return Result{}, failure(name, ErrNoAddress)
		}
		return Result{Addrs: []netip.Addr{addr}, Canonical: name}, nil
	}
	rooted := strings.HasSuffix(name, ".")
	name = strings.TrimSuffix(name, ".")
	if !ValidName(name) {
		return Result{}, failure(name, ErrBadName)
	}
	found := false
	res, err := Result{}, ErrNotFound
	if res, found = hostsLookup(r.file(hostsPath, maxHosts), name, opts.Family); found {
		err = nil
	} else if isLocal(name) {
		res, err = loopback(name, opts.Family), nil
	} else if !opts.HostsOnly && !isOnion(name) {
		res, err = r.query(name, rooted, opts.Family)
	}
	if err == nil && len(res.Addrs) == 0 {
		err = ErrNoAddress
	}
	if err != nil {
		return Result{}, failure(name, err)
	}
	if opts.Family == Any {
		res.Addrs = sortAddrs(res.Addrs)
	}
	return res, nil
}

func failure(name string, err error) error {
	if len(name) > 80 {
		name = name[:80]
	}
	return fmt.Errorf("look up %q: %w", name, err)
}

// Numeric reads an address in text form; IPv4 mapped into IPv6 is IPv4, and a
// zone, which no socket address here can carry, is none.
func Numeric(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// ValidName reports whether a name, without a final dot, can be asked for:
// labels of 1 to 63 printable ASCII characters, at most 253 in all, as the C
// library has it.
func ValidName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case c <= ' ' || c >= 0x7f || c == '\\' || label == 63:
			return false
		default:
			label++
		}
	}
	return label > 0
}

// isLocal is localhost and what lies below it: never a server's to answer (RFC
// 6761).
func isLocal(name string) bool {
	return equalFold(name, "localhost") || hasSuffixFold(name, ".localhost")
}

func isOnion(name string) bool { return hasSuffixFold(name, ".onion") } // RFC 7686

func loopback(name string, family Family) Result {
	res := Result{Canonical: name}
	for _, addr := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		if family.has(addr) {
			res.Addrs = append(res.Addrs, addr)
		}
	}
	return res
}

// equalFold compares in ASCII, as DNS does; strings.EqualFold would take the
// Kelvin sign for a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && equalFold(s[len(s)-len(suffix):], suffix)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
