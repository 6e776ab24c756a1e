// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"containerd-shim-wazero/oci/annotation"
	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// text writes rules as annotations do, "any" for everything.
func text[R interface{ String() string }](all bool, rules []R) string {
	if all {
		return "any"
	}
	var list []string
	for _, r := range rules {
		list = append(list, r.String())
	}
	return strings.Join(list, ",")
}

func TestNetwork(t *testing.T) {
	exposed := []string{"8080/tcp", "53/udp"}
	for name, c := range map[string]struct {
		own                             bool
		listen, connect                 string // annotations, "" for none
		ceilingListen, ceilingConnect   string // settings, "" for none
		wantListen, wantConnect, opened string
	}{
		"own":                 {own: true, wantListen: "any", wantConnect: "any", opened: "udp:53,tcp:8080"},
		"host":                {},
		"host, annotated":     {listen: "tcp:80", connect: "db:5432", wantListen: "tcp:80", wantConnect: "db:5432", opened: "tcp:80"},
		"nothing":             {own: true, listen: "none", connect: "none"},
		"listen only":         {own: true, listen: "none", wantConnect: "any"},
		"other ports":         {own: true, listen: "tcp:127.0.0.1:9000,udp:0,tcp:10.0.0.0/8:80,unix:/run/s", wantListen: "tcp:127.0.0.1:9000,udp:0,tcp:10.0.0.0/8:80,unix:/run/s", wantConnect: "any", opened: "tcp:127.0.0.1:9000"},
		"ceiling":             {own: true, ceilingListen: "tcp:8080", ceilingConnect: "*.example.com:443", wantListen: "tcp:8080", wantConnect: "*.example.com:443", opened: "tcp:8080"},
		"ceiling of nothing":  {own: true, ceilingListen: "none", ceilingConnect: "none"},
		"ceiling, annotated":  {own: true, listen: "tcp:80,tcp:81", ceilingListen: "tcp:81,tcp:82", wantListen: "tcp:81", wantConnect: "any", opened: "tcp:81"},
		"connect, annotated":  {own: true, connect: "a.example.com:443,b.org:443", ceilingConnect: "*.example.com:443", wantListen: "any", wantConnect: "a.example.com:443", opened: "udp:53,tcp:8080"},
		"host, ceiling":       {ceilingListen: "tcp:81", ceilingConnect: "x:1"},
		"Unix, no ceiling":    {own: true, connect: "unix:/run/s", wantListen: "any", wantConnect: "unix:/run/s", opened: "udp:53,tcp:8080"},
		"Unix beside ceiling": {own: true, connect: "unix:/run/s", ceilingListen: "tcp:8080", wantListen: "tcp:8080", wantConnect: "unix:/run/s", opened: "tcp:8080"},
		"Unix under ceiling":  {own: true, connect: "unix:/run/s", ceilingConnect: "unix:/run/", wantListen: "any", wantConnect: "unix:/run/s", opened: "udp:53,tcp:8080"},
	} {
		t.Run(name, func(t *testing.T) {
			values := map[string]string{}
			if c.listen != "" {
				values[annotation.Prefix+"listen"] = c.listen
			}
			if c.connect != "" {
				values[annotation.Prefix+"connect"] = c.connect
			}
			asked, err := annotation.Parse(values, "", false)
			if err != nil {
				t.Fatal(err)
			}
			toml := "[ceiling]\n"
			if c.ceilingListen != "" {
				toml += "listen = " + strconv.Quote(c.ceilingListen) + "\n"
			}
			if c.ceilingConnect != "" {
				toml += "connect = " + strconv.Quote(c.ceilingConnect) + "\n"
			}
			set, err := settings.Parse([]byte(toml))
			if err != nil {
				t.Fatal(err)
			}
			n := network(c.own, asked, &set.Ceiling)
			n.Preopen = append(n.Preopen, Exposed(&n, exposed)...)
			if got := text(n.Grants.ListenAny, n.Grants.Listen); got != c.wantListen {
				t.Errorf("listen %q, want %q", got, c.wantListen)
			}
			if got := text(n.Grants.ConnectAny, n.Grants.Connect); got != c.wantConnect {
				t.Errorf("connect %q, want %q", got, c.wantConnect)
			}
			if got := text(false, n.Preopen); got != c.opened {
				t.Errorf("opened %q, want %q", got, c.opened)
			}
		})
	}
}

func TestExposedPorts(t *testing.T) {
	got := exposedPorts([]string{"80", "80/tcp", "53/udp", "53/tcp", "9/sctp", "0/tcp", "65536/tcp", "x/tcp", "", "8000-8010/tcp"})
	if want := "tcp:53,udp:53,tcp:80"; text(false, got) != want {
		t.Errorf("%s, want %s", text(false, got), want)
	}
	var many []string
	for i := range 1000 {
		many = append(many, strconv.Itoa(1000-i)+"/tcp")
	}
	got = exposedPorts(many)
	if len(got) != maxExposed || got[0].Port != 1 || !slices.IsSortedFunc(got, func(a, b policy.ListenRule) int { return int(a.Port) - int(b.Port) }) {
		t.Errorf("%d ports from %v", len(got), got[0])
	}
}
