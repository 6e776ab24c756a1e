// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxResolved bounds the addresses remembered from look-ups; beyond it the
// oldest is forgotten and must be looked up again.
const maxResolved = 1024

// Policy judges what a guest asks for against its grants. It is safe for use
// by several goroutines.
type Policy struct {
	grants  Grants
	refused func(rule string)
	now     func() time.Time

	mu       sync.Mutex
	resolved map[netip.Addr][]uint16 // ports granted by name; guarded by mu
	oldest   []netip.Addr            // ring of the map's keys; guarded by mu
	next     int                     // where the ring goes on; guarded by mu
	log      limiter                 // guarded by mu
}

// New makes the judge of these grants. Every refusal, limited in rate, is told
// to refused as one sentence for the operator; refused may be nil and must not
// block.
func New(grants Grants, refused func(rule string)) *Policy {
	return &Policy{grants: grants, refused: refused, now: time.Now}
}

// Grants are the grants that the policy was made of. Callers do not change
// their rules.
func (p *Policy) Grants() Grants { return p.grants }

// Bind reports whether a TCP or UDP socket may be bound to an address. Port 0,
// a port of the kernel's choice, is also granted to a guest that may connect
// somewhere, as clients bind so: see [Policy.Listen] and [Policy.Hears] for
// what such a socket may not do.
func (p *Policy) Bind(proto Proto, addr netip.AddrPort) bool {
	if addr.Port() == 0 && p.mayConnect() {
		return true
	}
	return p.Listen(proto, addr)
}

// Listen reports whether connections (TCP) or datagrams from anyone (UDP) may
// be received at an address: the one that was asked for in bind, with port 0
// where the guest left the choice to the kernel.
func (p *Policy) Listen(proto Proto, addr netip.AddrPort) bool {
	if p.Serves(proto, addr) {
		return true
	}
	p.refuse("listen", string(proto)+" "+addr.String(), "listen")
	return false
}

// Serves is Listen for a question that is no attempt: it is not told of.
func (p *Policy) Serves(proto Proto, addr netip.AddrPort) bool {
	if p.grants.ListenAny {
		return true
	}
	for i := range p.grants.Listen {
		if p.grants.Listen[i].allows(proto, addr) {
			return true
		}
	}
	return false
}

// Connect reports whether the guest may connect, or send a datagram, to an
// address: one in a granted range, or one that a granted name was looked up to.
func (p *Policy) Connect(proto Proto, addr netip.AddrPort) bool {
	if p.reaches(addr) {
		return true
	}
	p.refuse("connect", string(proto)+" "+addr.String(), "connect")
	return false
}

// Hears reports whether a UDP socket that no listen rule granted may receive a
// datagram from an address: only from where it may send to.
func (p *Policy) Hears(from netip.AddrPort) bool { return p.reaches(from) }

func (p *Policy) reaches(to netip.AddrPort) bool {
	if p.grants.ConnectAny {
		return true
	}
	addr := to.Addr().Unmap().WithZone("")
	for i := range p.grants.Connect {
		r := &p.grants.Connect[i]
		if r.Port == to.Port() && r.allowsAddr(addr) {
			return true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.resolved[addr], to.Port())
}

// BindPath and ConnectPath report whether a Unix socket may be bound or
// connected to a path, absolute and as the guest names it.
func (p *Policy) BindPath(path string) bool {
	for _, r := range p.grants.Listen {
		if r.Proto == Unix && matchesPath(r.Path, path) {
			return true
		}
	}
	p.refuse("listen", "unix "+strconv.Quote(path), "listen")
	return false
}

// ConnectPath is described at [Policy.BindPath].
func (p *Policy) ConnectPath(path string) bool {
	for _, r := range p.grants.Connect {
		if matchesPath(r.Path, path) {
			return true
		}
	}
	p.refuse("connect", "unix "+strconv.Quote(path), "connect")
	return false
}

// Unix reports whether any rule grants a Unix socket.
func (p *Policy) Unix() bool {
	return slices.ContainsFunc(p.grants.Listen, func(r ListenRule) bool { return r.Proto == Unix }) ||
		slices.ContainsFunc(p.grants.Connect, func(r ConnectRule) bool { return r.Path != "" })
}

// Scope is how far the look-up of a name may go.
type Scope int

// The scopes of look-ups.
const (
	Nowhere   Scope = iota // refused
	HostsOnly              // the container's /etc/hosts, without a question to a server
	Anywhere               // the container's name servers too
)

// Lookup says how far a name may be looked up. A guest without any connect rule
// looks up nothing; one with rules asks servers only for the names in them, so
// that look-ups carry nothing out.
func (p *Policy) Lookup(name string) Scope {
	if p.grants.ConnectAny {
		return Anywhere
	}
	if !p.mayConnect() {
		p.refuse("look-up", "of "+strconv.Quote(clip(name)), "connect")
		return Nowhere
	}
	name = normalize(name)
	for i := range p.grants.Connect {
		if p.grants.Connect[i].matchesName(name) {
			return Anywhere
		}
	}
	return HostsOnly
}

// Resolved takes the addresses that a name was looked up to, remembers those
// that a rule by name grants, and returns those the guest may know of: granted
// by name or within a granted range. The argument's memory is reused.
func (p *Policy) Resolved(name string, addrs []netip.Addr) []netip.Addr {
	if p.grants.ConnectAny {
		return addrs
	}
	asked := normalize(name)
	kept := addrs[:0]
	var dropped netip.Addr
	for _, addr := range addrs {
		plain := addr.Unmap().WithZone("")
		byName := p.remember(asked, plain)
		if byName || slices.ContainsFunc(p.grants.Connect, func(r ConnectRule) bool { return r.allowsAddr(plain) }) {
			kept = append(kept, addr)
		} else {
			dropped = addr
		}
	}
	if len(kept) == 0 && dropped.IsValid() {
		p.refuse("look-up", "of "+strconv.Quote(clip(name))+" to "+dropped.String(), "connect")
	}
	return kept
}

// remember records the ports that rules by this name grant at an address.
func (p *Policy) remember(name string, addr netip.Addr) bool {
	granted := false
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.grants.Connect {
		r := &p.grants.Connect[i]
		if !r.matchesName(name) || !r.allowsResolved(addr) {
			continue
		}
		granted = true
		ports, known := p.resolved[addr]
		if slices.Contains(ports, r.Port) {
			continue
		}
		if !known {
			p.makeRoom(addr)
		}
		p.resolved[addr] = append(ports, r.Port)
	}
	return granted
}

// makeRoom enters an address in the ring and forgets the one it displaces. It
// is called with mu held.
func (p *Policy) makeRoom(addr netip.Addr) {
	if p.resolved == nil {
		p.resolved = make(map[netip.Addr][]uint16)
	}
	if len(p.oldest) < maxResolved {
		p.oldest = append(p.oldest, addr)
		return
	}
	delete(p.resolved, p.oldest[p.next])
	p.oldest[p.next] = addr
	p.next = (p.next + 1) % maxResolved
}

func (p *Policy) mayConnect() bool {
	if p.grants.ConnectAny {
		return true
	}
	return slices.ContainsFunc(p.grants.Connect, func(r ConnectRule) bool { return r.Path == "" })
}

// refuse tells the operator of a refusal, as far as the limit lets it.
func (p *Policy) refuse(verb, what, key string) {
	if p.refused == nil {
		return
	}
	p.mu.Lock()
	ok, missed := p.log.take(p.now())
	p.mu.Unlock()
	if !ok {
		return
	}
	line := verb + " " + what + " refused: no " + key + " rule grants it"
	if missed > 0 {
		line += " (" + strconv.Itoa(missed) + " more refusals not shown)"
	}
	p.refused(line)
}

// limiter lets a burst of lines pass and then one a second.
type limiter struct {
	used   int // of the burst
	last   time.Time
	missed int
}

const burst = 10

func (l *limiter) take(now time.Time) (ok bool, missed int) {
	if regained := int(now.Sub(l.last) / time.Second); regained > 0 || l.last.IsZero() {
		l.used = max(0, l.used-regained)
		l.last = now
	}
	if l.used >= burst {
		l.missed++
		return false, 0
	}
	l.used++
	missed, l.missed = l.missed, 0
	return true, missed
}

// clip shortens what a guest wrote to a length fit for a log line.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80]
	}
	return s
}
