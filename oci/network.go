// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"containerd-shim-wazero/oci/annotation"
	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// maxExposed is how many of an image's exposed ports are listened on: some
// images expose thousands.
const maxExposed = 64

// network says what the guest may do with sockets. In a network namespace of
// its own that is what any container may, unless annotations narrow it; in the
// host's it is only what annotations name. The operator's ceiling holds in both.
func network(own bool, asked annotation.Grants, ceiling *settings.Ceiling) config.Network {
	var g policy.Grants
	if own {
		g = policy.Free()
	}
	if asked.Listen != nil {
		g.ListenAny, g.Listen = false, asked.Listen
	}
	if asked.Connect != nil {
		g.ConnectAny, g.Connect = false, asked.Connect
	}
	g = narrow(g, ceiling)

	n := config.Network{Grants: g}
	if asked.Listen != nil {
		n.Preopen = slices.DeleteFunc(slices.Clone(g.Listen), notPreopened)
	} else {
		n.Exposed = own
	}
	return n
}

// Exposed are the addresses to listen on for the ports that an image exposes
// ("8080/tcp"), as far as the network's grants go.
func Exposed(n *config.Network, ports []string) []policy.ListenRule {
	if !n.Exposed {
		return nil
	}
	wanted := policy.Intersect(n.Grants, policy.Grants{Listen: exposedPorts(ports)}).Listen
	return slices.DeleteFunc(slices.Clone(wanted), notPreopened)
}

// narrow holds grants to the ceiling, as far as the operator set one.
func narrow(g policy.Grants, ceiling *settings.Ceiling) policy.Grants {
	if ceiling.Listen != nil {
		limit := policy.Grants{Listen: ceiling.Listen, ConnectAny: true, Connect: g.Connect}
		g = policy.Intersect(limit, g)
	}
	if ceiling.Connect != nil {
		limit := policy.Grants{Connect: ceiling.Connect, ListenAny: true, Listen: g.Listen}
		g = policy.Intersect(limit, g)
	}
	return g
}

// namingFiles are the files that say what a name means, where connections are
// granted by name. The guest may not write to them: they outlive it, and its
// next start, or an exec, would believe them.
func namingFiles(g *policy.Grants) []string {
	if g.ConnectAny || !slices.ContainsFunc(g.Connect, func(r policy.ConnectRule) bool { return r.Name != "" }) {
		return nil
	}
	return []string{"/etc/hosts", "/etc/resolv.conf"}
}

// notPreopened reports whether a rule is none that a socket can be made from
// before the guest says more.
func notPreopened(r policy.ListenRule) bool {
	_, single := r.Addr()
	return r.Proto == policy.Unix || r.Port == 0 || !single
}

// exposedPorts are the ports of an image's EXPOSE in a steady order. What
// cannot be read is left out: EXPOSE is a hint, and no image fails to run by it.
func exposedPorts(ports []string) []policy.ListenRule {
	var rules []policy.ListenRule
	for _, p := range ports {
		number, proto, _ := strings.Cut(p, "/")
		if proto == "" {
			proto = string(policy.TCP)
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 || (proto != string(policy.TCP) && proto != string(policy.UDP)) {
			continue
		}
		rules = append(rules, policy.ListenRule{Proto: policy.Proto(proto), Port: uint16(n)})
	}
	slices.SortFunc(rules, func(a, b policy.ListenRule) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
	})
	rules = slices.Compact(rules)
	return rules[:min(len(rules), maxExposed)]
}
