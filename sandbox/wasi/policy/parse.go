// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// MaxRules is how many rules one annotation may hold.
const MaxRules = 128

// maxRule is how many bytes one rule may have: more than a host name of 253.
const maxRule = 300

// None is the annotation value that grants nothing.
const None = "none"

// ParseListen reads the value of a listen annotation or setting: a
// comma-separated list of tcp:PORT, udp:PORT, tcp:ADDRESS:PORT, with IPv6
// addresses in brackets and ranges as ADDRESS/BITS, and unix:PATH; or none.
// The rules keep their order; doubles are dropped.
func ParseListen(value string) ([]ListenRule, error) {
	return parseRules(value, parseListenRule, "tcp:8080,udp:53,tcp:127.0.0.1:9000")
}

// ParseConnect reads the value of a connect annotation or setting: a
// comma-separated list of HOST:PORT, *.SUFFIX:PORT, ADDRESS:PORT,
// ADDRESS/BITS:PORT, with IPv6 addresses in brackets, HOST@ADDRESS/BITS:PORT
// for a host as far as its addresses lie in the range, and unix:PATH; or none.
func ParseConnect(value string) ([]ConnectRule, error) {
	return parseRules(value, parseConnectRule, "postgres:5432,10.0.0.0/8:443,*.example.com:443")
}

func parseRules[R comparable](value string, parse func(string) (R, error), example string) ([]R, error) {
	value = strings.TrimSpace(value)
	if value == None {
		return nil, nil
	}
	var rules []R
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return nil, fmt.Errorf("empty rule: write none, or a list like %s", example)
		}
		if len(item) > maxRule {
			return nil, fmt.Errorf("rule %.80q is longer than %d bytes", item, maxRule)
		}
		rule, err := parse(item)
		if err != nil {
			return nil, fmt.Errorf("rule %.80q: %w", item, err)
		}
		if slices.Contains(rules, rule) {
			continue
		}
		if len(rules) == MaxRules {
			return nil, fmt.Errorf("more than %d rules", MaxRules)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func parseListenRule(s string) (ListenRule, error) {
	proto, rest, ok := strings.Cut(s, ":")
	if !ok {
		return ListenRule{}, fmt.Errorf("no transport: write tcp:%s or udp:%s", s, s)
	}
	rule := ListenRule{Proto: Proto(proto)}
	var err error
	switch rule.Proto {
	case Unix:
		rule.Path, err = parsePath(rest)
		return rule, err
	case TCP, UDP:
	default:
		return rule, fmt.Errorf("unknown transport %q: tcp, udp and unix are known", proto)
	}
	host, port := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, port = rest[:i], rest[i+1:]
		if rule.Prefix, err = parsePrefix(host); err != nil {
			return rule, err
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '+' {
		return rule, fmt.Errorf("port %q is not a number up to 65535", port)
	}
	rule.Port = uint16(n)
	return rule, nil
}

func parseConnectRule(s string) (ConnectRule, error) {
	if p, ok := strings.CutPrefix(s, "unix:"); ok && strings.HasPrefix(p, "/") {
		p, err := parsePath(p)
		return ConnectRule{Path: p}, err
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return ConnectRule{}, fmt.Errorf("no port: write %s:443", s)
	}
	host, port := s[:i], s[i+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '+' {
		return ConnectRule{}, fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	rule := ConnectRule{Port: uint16(n)}
	if name, within, ok := strings.Cut(host, "@"); ok {
		if rule.Prefix, err = parsePrefix(within); err != nil {
			return rule, err
		}
		rule.Name, err = parseName(name)
		return rule, err
	}
	// What ends in a number, or has a character of addresses only, is meant as
	// an address: no top-level domain is a number.
	if strings.ContainsAny(host, "/[]:") || lastLabelIsNumber(strings.TrimSuffix(host, ".")) {
		rule.Prefix, err = parsePrefix(host)
		return rule, err
	}
	rule.Name, err = parseName(host)
	return rule, err
}

// parsePrefix reads an address or a range, IPv6 in brackets around the whole
// or around the address alone.
func parsePrefix(s string) (netip.Prefix, error) {
	addr, bits, ranged := strings.Cut(s, "/")
	bracketed := strings.HasPrefix(s, "[")
	if bracketed {
		if inner, ok := strings.CutSuffix(addr, "]"); ok { // [addr] or [addr]/bits
			addr = inner[1:]
		} else if inner, ok := strings.CutSuffix(bits, "]"); ok { // [addr/bits]
			addr, bits = addr[1:], inner
		} else {
			return netip.Prefix{}, fmt.Errorf("address %q: bracket not closed", s)
		}
	}
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address", s)
	}
	if ip.Is6() != bracketed {
		return netip.Prefix{}, fmt.Errorf("address %q: brackets are for IPv6, and IPv6 needs them", s)
	}
	if ip.Is4In6() {
		return netip.Prefix{}, fmt.Errorf("address %q: write the IPv4 address %s", s, ip.Unmap())
	}
	if !ranged {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	n, err := strconv.ParseUint(bits, 10, 8)
	if err != nil || int(n) > ip.BitLen() || bits[0] == '+' {
		return netip.Prefix{}, fmt.Errorf("range %q: length is not a number up to %d", s, ip.BitLen())
	}
	p := netip.PrefixFrom(ip, int(n))
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("range %q has bits beyond its length: write %s", s, prefixString(p.Masked()))
	}
	return p, nil
}

// parseName reads a host name or *.suffix.
func parseName(s string) (string, error) {
	name := normalize(s)
	labels := strings.TrimPrefix(name, "*.")
	if labels == "" || labels == "*" {
		return "", fmt.Errorf("host %q: write a name, *.suffix, or a range as 0.0.0.0/0", s)
	}
	if !validName(labels) {
		return "", fmt.Errorf("%q is not a host name", s)
	}
	return name, nil
}

// parsePath reads the path of a Unix socket, or of a directory of them when it
// ends in a slash.
func parsePath(s string) (string, error) {
	clean := path.Clean(s)
	if clean != "/" && strings.HasSuffix(s, "/") {
		clean += "/"
	}
	if !strings.HasPrefix(s, "/") || clean != s || s == "/" || strings.IndexByte(s, 0) >= 0 {
		return "", fmt.Errorf("path %q is not absolute and clean", s)
	}
	// sockaddr_un has 108 bytes with the terminator.
	if len(s) > 107 {
		return "", fmt.Errorf("path %q is longer than 107 bytes", s)
	}
	return s, nil
}

// normalize brings a host name to the form in which rules hold it.
func normalize(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// validName reports whether a name is letters, digits, hyphens and underscores
// in labels of at most 63 bytes, 253 in all (RFC 1123, and the underscore that
// service names have).
func validName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !isDigit(c) && (c < 'a' || c > 'z') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func lastLabelIsNumber(host string) bool {
	label := host[strings.LastIndexByte(host, '.')+1:]
	for i := range len(label) {
		if !isDigit(label[i]) {
			return false
		}
	}
	return label != ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
