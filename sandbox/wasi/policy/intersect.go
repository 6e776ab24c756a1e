// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Intersect gives what both a ceiling and a request grant. Where one grants
// everything, the other's rules stand; between two lists, what a rule of each
// covers.
func Intersect(ceiling, request Grants) Grants {
	g := Grants{
		ListenAny:  ceiling.ListenAny && request.ListenAny,
		ConnectAny: ceiling.ConnectAny && request.ConnectAny,
	}
	for _, r := range request.Listen {
		if ceiling.ListenAny && r.Proto != Unix {
			g.Listen = appendNew(g.Listen, r)
			continue
		}
		for _, c := range ceiling.Listen {
			if both, ok := intersectListen(c, r); ok {
				g.Listen = appendNew(g.Listen, both)
			}
		}
	}
	for _, r := range request.Connect {
		if ceiling.ConnectAny && r.Path == "" {
			g.Connect = appendNew(g.Connect, r)
			continue
		}
		for _, c := range ceiling.Connect {
			if both, ok := intersectConnect(c, r); ok {
				g.Connect = appendNew(g.Connect, both)
			}
		}
	}
	// A request for everything gets the ceiling's rules. Unix sockets are not
	// part of everything.
	if request.ListenAny && !ceiling.ListenAny {
		for _, c := range ceiling.Listen {
			if c.Proto != Unix {
				g.Listen = appendNew(g.Listen, c)
			}
		}
	}
	if request.ConnectAny && !ceiling.ConnectAny {
		for _, c := range ceiling.Connect {
			if c.Path == "" {
				g.Connect = appendNew(g.Connect, c)
			}
		}
	}
	return g
}

func appendNew[R comparable](rules []R, rule R) []R {
	if slices.Contains(rules, rule) {
		return rules
	}
	return append(rules, rule)
}

func intersectListen(a, b ListenRule) (ListenRule, bool) {
	if a.Proto != b.Proto || a.Port != b.Port {
		return ListenRule{}, false
	}
	if a.Proto == Unix {
		p, ok := intersectPath(a.Path, b.Path)
		return ListenRule{Proto: Unix, Path: p}, ok
	}
	p, ok := intersectPrefix(a.Prefix, b.Prefix)
	return ListenRule{Proto: a.Proto, Prefix: p, Port: a.Port}, ok
}

func intersectConnect(a, b ConnectRule) (ConnectRule, bool) {
	if a.Path != "" || b.Path != "" {
		p, ok := intersectPath(a.Path, b.Path)
		return ConnectRule{Path: p}, ok
	}
	if a.Port != b.Port {
		return ConnectRule{}, false
	}
	name, ok := intersectName(a.Name, b.Name)
	if !ok {
		return ConnectRule{}, false
	}
	prefix, ok := intersectPrefix(a.Prefix, b.Prefix)
	return ConnectRule{Name: name, Prefix: prefix, Port: a.Port}, ok
}

// intersectPrefix gives the narrower of two overlapping ranges; the zero
// prefix is every address.
func intersectPrefix(a, b netip.Prefix) (netip.Prefix, bool) {
	switch {
	case !a.IsValid():
		return b, true
	case !b.IsValid():
		return a, true
	case !a.Overlaps(b):
		return netip.Prefix{}, false
	case a.Bits() > b.Bits():
		return a, true
	}
	return b, true
}

// intersectName gives the narrower of two names; the empty one is every name.
func intersectName(a, b string) (string, bool) {
	switch {
	case a == "" || a == b:
		return b, true
	case b == "":
		return a, true
	case (ConnectRule{Name: a}).matchesName(strings.TrimPrefix(b, "*")):
		return b, true
	case (ConnectRule{Name: b}).matchesName(strings.TrimPrefix(a, "*")):
		return a, true
	}
	return "", false
}

func intersectPath(a, b string) (string, bool) {
	switch {
	case a == b, strings.HasSuffix(a, "/") && strings.HasPrefix(b, a):
		return b, a != ""
	case strings.HasSuffix(b, "/") && strings.HasPrefix(a, b):
		return a, true
	}
	return "", false
}
