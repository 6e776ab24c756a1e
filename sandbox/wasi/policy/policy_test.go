// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseListen(t *testing.T) {
	for _, tc := range []struct{ in, want, err string }{
		{in: "none", want: ""},
		{in: " tcp:8080 , udp:53,tcp:127.0.0.1:9000", want: "tcp:8080 udp:53 tcp:127.0.0.1:9000"},
		{in: "tcp:8080,tcp:8080", want: "tcp:8080"},
		{in: "tcp:[::1]:9000,tcp:[fd00::]/8:1,udp:[fd00::/8]:2", want: "tcp:[::1]:9000 tcp:[fd00::/8]:1 udp:[fd00::/8]:2"},
		{in: "tcp:0", want: "tcp:0"},
		{in: "unix:/run/app.sock,unix:/run/sockets/", want: "unix:/run/app.sock unix:/run/sockets/"},
		{in: "", err: "empty rule"},
		{in: "tcp:80,,udp:53", err: "empty rule"},
		{in: "8080", err: "write tcp:8080"},
		{in: "sctp:80", err: "unknown transport"},
		{in: "tcp:65536", err: "not a number"},
		{in: "tcp:", err: "not a number"},
		{in: "tcp:+80", err: "not a number"},
		{in: "tcp:-1", err: "not a number"},
		{in: "tcp:host:80", err: "not an address"},
		{in: "tcp:::1:80", err: "brackets"},
		{in: "tcp:[127.0.0.1]:80", err: "brackets"},
		{in: "tcp:[::1:80", err: "bracket not closed"},
		{in: "tcp:[fe80::1%eth0]:80", err: "not an address"},
		{in: "tcp:[::ffff:1.2.3.4]:80", err: "write the IPv4 address 1.2.3.4"},
		{in: "tcp:10.0.0.1/8:80", err: "write 10.0.0.0/8"},
		{in: "tcp:10.0.0.0/33:80", err: "length"},
		{in: "unix:run/app.sock", err: "absolute"},
		{in: "unix:/run/../app.sock", err: "clean"},
		{in: "unix:@abstract", err: "absolute"},
		{in: "unix:\x00abstract", err: "absolute"},
		{in: "unix:/" + strings.Repeat("x", 107), err: "longer"},
	} {
		rules, err := ParseListen(tc.in)
		check(t, tc.in, rules, err, tc.want, tc.err)
	}
}

func TestParseConnect(t *testing.T) {
	for _, tc := range []struct{ in, want, err string }{
		{in: "none", want: ""},
		{in: "postgres:5432,10.0.0.0/8:443,*.example.com:443", want: "postgres:5432 10.0.0.0/8:443 *.example.com:443"},
		{in: "Example.COM.:443", want: "example.com:443"},
		{in: "[2001:db8::]/32:443,[::1]:1", want: "[2001:db8::/32]:443 [::1]:1"},
		{in: "1.2.3.4:5,_sip._udp.example.com:5060,s3:80", want: "1.2.3.4:5 _sip._udp.example.com:5060 s3:80"},
		{in: "unix:/run/db/.s.PGSQL.5432", want: "unix:/run/db/.s.PGSQL.5432"},
		{in: "unix:5432", want: "unix:5432"}, // a host of that name
		{in: "db@10.0.0.0/8:1,*.x@[fd00::/8]:2", want: "db@10.0.0.0/8:1 *.x@[fd00::/8]:2"},
		{in: "db@x:1", err: "not an address"},
		{in: "@10.0.0.0/8:1", err: "write a name"},
		{in: "postgres", err: "write postgres:443"},
		{in: "postgres:0", err: "from 1"},
		{in: "postgres:http", err: "not a number"},
		{in: ":80", err: "write a name"},
		{in: "*:80", err: "write a name"},
		{in: "*.:80", err: "write a name"},
		{in: "a.*.com:80", err: "not a host name"},
		{in: "*example.com:80", err: "not a host name"},
		{in: "a..b:80", err: "not a host name"},
		{in: "-a:80", err: "not a host name"},
		{in: "bücher.example:80", err: "not a host name"},
		{in: "1.2.3:80", err: "not an address"},
		{in: "0.:80", err: "not an address"},
		{in: "1.2.3.999:80", err: "not an address"},
		{in: "0x7f.1:80", err: "not an address"},
		{in: "::1:80", err: "brackets"},
		{in: strings.Repeat("a", 64) + ":80", err: "not a host name"},
		{in: strings.Repeat("a.", 127) + "aa:80", err: "not a host name"},
	} {
		rules, err := ParseConnect(tc.in)
		check(t, tc.in, rules, err, tc.want, tc.err)
	}
}

func check[R fmt.Stringer](t *testing.T, in string, rules []R, err error, want, wantErr string) {
	t.Helper()
	if wantErr != "" {
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: error %v, want one with %q", in, err, wantErr)
		}
		return
	}
	var got []string
	for _, r := range rules {
		got = append(got, r.String())
	}
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("%q: %q, %v; want %q", in, got, err, want)
	}
}

func TestTooManyRules(t *testing.T) {
	var b strings.Builder
	for i := range MaxRules + 1 {
		fmt.Fprintf(&b, ",tcp:%d", i+1)
	}
	if _, err := ParseListen(b.String()[1:]); err == nil {
		t.Error("more than MaxRules rules were accepted")
	}
}

func grants(t *testing.T, listen, connect string) Grants {
	t.Helper()
	l, err := ParseListen(listen)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConnect(connect)
	if err != nil {
		t.Fatal(err)
	}
	return Grants{Listen: l, Connect: c}
}

func TestListen(t *testing.T) {
	p := New(grants(t, "tcp:8080,udp:53,tcp:127.0.0.1:9000,tcp:[fd00::]/8:1", "none"), nil)
	for _, tc := range []struct {
		proto Proto
		addr  string
		want  bool
	}{
		{TCP, "0.0.0.0:8080", true},
		{TCP, "[::]:8080", true},
		{TCP, "10.1.2.3:8080", true},
		{UDP, "0.0.0.0:8080", false},
		{UDP, "0.0.0.0:53", true},
		{TCP, "127.0.0.1:9000", true},
		{TCP, "[::ffff:127.0.0.1]:9000", true},
		{TCP, "0.0.0.0:9000", false},
		{TCP, "[::1]:9000", false},
		{TCP, "[fd12::1]:1", true},
		{TCP, "[fe80::1]:1", false},
		{TCP, "0.0.0.0:0", false},
	} {
		if got := p.Bind(tc.proto, netip.MustParseAddrPort(tc.addr)); got != tc.want {
			t.Errorf("bind %s %s: %v", tc.proto, tc.addr, got)
		}
	}
}

func TestPortOfTheKernelsChoice(t *testing.T) {
	any0 := netip.MustParseAddrPort("0.0.0.0:0")
	for _, tc := range []struct {
		name         string
		g            Grants
		bind, listen bool
	}{
		{"nothing", Grants{}, false, false},
		{"client", grants(t, "none", "db:5432"), true, false},
		{"unix client", grants(t, "none", "unix:/run/x"), false, false},
		{"server", grants(t, "tcp:0", "none"), true, true},
		{"free", Free(), true, true},
	} {
		p := New(tc.g, nil)
		if got := p.Bind(TCP, any0); got != tc.bind {
			t.Errorf("%s: bind %v", tc.name, got)
		}
		if got := p.Listen(TCP, any0); got != tc.listen {
			t.Errorf("%s: listen %v", tc.name, got)
		}
	}
}

func TestConnectByAddress(t *testing.T) {
	p := New(grants(t, "none", "10.0.0.0/8:443,127.0.0.1:6379,[2001:db8::]/32:443"), nil)
	for addr, want := range map[string]bool{
		"10.9.8.7:443":           true,
		"[::ffff:10.9.8.7]:443":  true,
		"10.9.8.7:80":            false,
		"11.0.0.1:443":           false,
		"127.0.0.1:6379":         true, // named as an address, so granted
		"127.0.0.2:6379":         false,
		"[2001:db8::1]:443":      true,
		"[2001:db9::1]:443":      false,
		"169.254.169.254:443":    false,
		"[::ffff:11.9.8.7]:443":  false,
		"[2001:db8::1%eth0]:443": true,
	} {
		if got := p.Connect(TCP, netip.MustParseAddrPort(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

func TestConnectByName(t *testing.T) {
	p := New(grants(t, "none", "db:5432,*.example.com:443,10.0.0.0/8:80"), nil)
	to := netip.MustParseAddrPort

	if p.Connect(TCP, to("192.0.2.1:5432")) {
		t.Error("connect before the look-up")
	}
	for name, want := range map[string]Scope{
		"db": Anywhere, "DB.": Anywhere, "a.example.com": Anywhere, "a.b.example.com": Anywhere,
		"example.com": HostsOnly, "evilexample.com": HostsOnly, "db.evil.com": HostsOnly,
	} {
		if got := p.Lookup(name); got != want {
			t.Errorf("look-up of %s: %v", name, got)
		}
	}
	got := p.Resolved("Db", addrs("192.0.2.1", "127.0.0.1", "2001:db8::5"))
	if fmt.Sprint(got) != "[192.0.2.1 2001:db8::5]" {
		t.Errorf("resolved %v", got)
	}
	for addr, want := range map[string]bool{
		"192.0.2.1:5432": true, "[::ffff:192.0.2.1]:5432": true, "[2001:db8::5]:5432": true,
		"192.0.2.1:443": false, "192.0.2.2:5432": false, "127.0.0.1:5432": false,
	} {
		if got := p.Connect(TCP, to(addr)); got != want {
			t.Errorf("connect %s: %v", addr, got)
		}
	}
	// Another name, of /etc/hosts alone, grants nothing but is told as far as
	// a range has it.
	if got := p.Resolved("cache", addrs("10.1.1.1", "192.0.2.9")); fmt.Sprint(got) != "[10.1.1.1]" {
		t.Errorf("resolved %v", got)
	}
	if p.Connect(TCP, to("192.0.2.9:443")) || !p.Connect(TCP, to("10.1.1.1:80")) {
		t.Error("a name without a rule changed what is granted")
	}
}

// A name that is pointed at the machine itself, or at its identity, grants
// nothing: at look-up and at connect.
func TestRebinding(t *testing.T) {
	p := New(grants(t, "none", "*.evil.com:80,localhost:80"), nil)
	for _, a := range []string{
		"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "100.100.100.200",
		"168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1",
		"fd00:ec2::254", "fd00:ec2::123", "fd20:ce::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
		"::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
	} {
		addr := netip.MustParseAddr(a)
		for _, name := range []string{"x.evil.com", "localhost"} {
			if got := p.Resolved(name, []netip.Addr{addr}); len(got) != 0 {
				t.Errorf("%s: look-up gave %v", name, got)
			}
		}
		if p.Connect(TCP, netip.AddrPortFrom(addr, 80)) {
			t.Errorf("connected to %s", a)
		}
	}
	for _, a := range []string{"10.0.0.1", "192.168.1.1", "1.1.1.1", "2606:4700::1111", "fd12:3456::1", "2002:101:101::"} {
		if Special(netip.MustParseAddr(a)) {
			t.Errorf("%s is special", a)
		}
	}
	if !Special(netip.Addr{}) {
		t.Error("no address is not special")
	}
}

func TestResolvedIsBounded(t *testing.T) {
	p := New(grants(t, "none", "*.cdn.com:80,*.cdn.com:443"), nil)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 3 * maxResolved {
		p.Resolved("a.cdn.com", []netip.Addr{addr(i)})
		p.Resolved("a.cdn.com", []netip.Addr{addr(i)})
	}
	if len(p.resolved) != maxResolved || len(p.oldest) != maxResolved {
		t.Errorf("%d addresses, %d in the ring", len(p.resolved), len(p.oldest))
	}
	if p.Connect(TCP, netip.AddrPortFrom(addr(0), 80)) {
		t.Error("the oldest is still granted")
	}
	if last := addr(3*maxResolved - 1); !p.Connect(TCP, netip.AddrPortFrom(last, 80)) || !p.Connect(TCP, netip.AddrPortFrom(last, 443)) {
		t.Error("the newest is not granted")
	}
}

func TestNothingAndFree(t *testing.T) {
	to := netip.MustParseAddrPort("192.0.2.1:80")
	none, free := New(Grants{}, nil), New(Free(), nil)
	if none.Connect(UDP, to) || none.Listen(UDP, to) || none.Lookup("localhost") != Nowhere {
		t.Error("no grants grant something")
	}
	if !free.Connect(UDP, to) || !free.Listen(UDP, to) || free.Lookup("a.b") != Anywhere {
		t.Error("free grants refuse something")
	}
	if free.Unix() || free.BindPath("/run/x") || free.ConnectPath("/run/x") {
		t.Error("free grants reach Unix sockets")
	}
	if got := free.Resolved("x", addrs("127.0.0.1")); len(got) != 1 {
		t.Error("free grants filter look-ups")
	}
}

func TestPaths(t *testing.T) {
	p := New(grants(t, "unix:/run/app.sock,unix:/run/s/", "unix:/run/db.sock"), nil)
	for path, want := range map[string]bool{
		"/run/app.sock": true, "/run/s/a": true, "/run/s/b/c": true,
		"/run/s/": false, "/run/s": false, "/run/s/../db.sock": false, "/run//app.sock": false,
		"run/app.sock": false, "": false, "/run/db.sock": false,
	} {
		if got := p.BindPath(path); got != want {
			t.Errorf("bind %q: %v", path, got)
		}
	}
	if !p.ConnectPath("/run/db.sock") || p.ConnectPath("/run/app.sock") {
		t.Error("connect by path")
	}
}

func TestIntersect(t *testing.T) {
	free := Free()
	for _, tc := range []struct {
		name             string
		ceiling, request Grants
		want             string
	}{
		{"all and all", free, free, "any | any"},
		{"all and some", free, grants(t, "tcp:80", "db:1"), "tcp:80 | db:1"},
		{"some and all", grants(t, "tcp:80,unix:/a", "db:1,unix:/b"), free, "tcp:80 | db:1"},
		{"all and unix", free, grants(t, "unix:/a", "unix:/b"), " | "},
		{"nothing", Grants{}, free, " | "},
		{"listen", grants(t, "tcp:80,tcp:10.0.0.0/8:81", "none"), grants(t, "tcp:127.0.0.1:80,udp:80,tcp:81,tcp:82", "none"), "tcp:127.0.0.1:80 tcp:10.0.0.0/8:81 | "},
		{"ranges", grants(t, "none", "10.0.0.0/8:443"), grants(t, "none", "10.1.0.0/16:443,0.0.0.0/0:443,11.0.0.0/8:443,10.0.0.0/8:80"), " | 10.1.0.0/16:443 10.0.0.0/8:443"},
		{"names", grants(t, "none", "*.example.com:443,db:1"), grants(t, "none", "a.example.com:443,*.b.example.com:443,example.com:443,*.com:443,db:1"), " | a.example.com:443 *.b.example.com:443 *.example.com:443 db:1"},
		{"name in range", grants(t, "none", "10.0.0.0/8:1,[fd00::]/8:1"), grants(t, "none", "db:1"), " | db@10.0.0.0/8:1 db@[fd00::/8]:1"},
		{"range by name", grants(t, "none", "db:1"), grants(t, "none", "10.0.0.0/8:1"), " | db@10.0.0.0/8:1"},
		{"paths", grants(t, "unix:/run/", "unix:/run/a"), grants(t, "unix:/run/x,unix:/run/y/,unix:/srv/z", "unix:/run/"), "unix:/run/x unix:/run/y/ | unix:/run/a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := show(Intersect(tc.ceiling, tc.request)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func show(g Grants) string {
	var l, c []string
	if g.ListenAny {
		l = append(l, "any")
	}
	if g.ConnectAny {
		c = append(c, "any")
	}
	for _, r := range g.Listen {
		l = append(l, r.String())
	}
	for _, r := range g.Connect {
		c = append(c, r.String())
	}
	return strings.Join(l, " ") + " | " + strings.Join(c, " ")
}

func TestNameWithinRange(t *testing.T) {
	g := Intersect(grants(t, "none", "10.0.0.0/8:1,127.0.0.0/8:1"), grants(t, "none", "db:1"))
	p := New(g, nil)
	if got := p.Resolved("db", addrs("10.0.0.1", "192.0.2.1", "127.0.0.1")); fmt.Sprint(got) != "[10.0.0.1]" {
		t.Errorf("resolved %v", got)
	}
	if p.Connect(TCP, netip.MustParseAddrPort("10.0.0.2:1")) {
		t.Error("an address of the range is granted without the name")
	}
	if !p.Connect(TCP, netip.MustParseAddrPort("10.0.0.1:1")) {
		t.Error("the name's address in the range is not granted")
	}
}

func TestRefusalsAreToldAtALimitedRate(t *testing.T) {
	var lines []string
	now := time.Unix(1000, 0)
	p := New(Grants{}, func(s string) { lines = append(lines, s) })
	p.now = func() time.Time { return now }
	to := netip.MustParseAddrPort("192.0.2.1:80")
	for range 1000 {
		p.Connect(TCP, to)
	}
	if len(lines) != burst || lines[0] != "connect tcp 192.0.2.1:80 refused: no connect rule grants it" {
		t.Fatalf("%d lines, first %q", len(lines), lines[0])
	}
	now = now.Add(1500 * time.Millisecond)
	p.Lookup("x\n" + strings.Repeat("y", 1000))
	p.BindPath("/run/x")
	if len(lines) != burst+1 || !strings.HasSuffix(lines[burst], "(990 more refusals not shown)") ||
		strings.Contains(lines[burst], "\n") || len(lines[burst]) > 250 {
		t.Fatalf("%d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"none", "tcp:8080,udp:[::1]:53", "a:1,*.b.c:2,10.0.0.0/8:3,[::]/0:4", "unix:/a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if rules, err := ParseListen(s); err == nil {
			for _, r := range rules {
				if again, err := ParseListen(r.String()); err != nil || len(again) != 1 || again[0] != r {
					t.Errorf("%q: %v gives %v, %v", s, r, again, err)
				}
			}
		}
		if rules, err := ParseConnect(s); err == nil {
			for _, r := range rules {
				if again, err := ParseConnect(r.String()); err != nil || len(again) != 1 || again[0] != r {
					t.Errorf("%q: %v gives %v, %v", s, r, again, err)
				}
			}
		}
	})
}
