// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

func TestLookup(t *testing.T) {
	s := serve(t, "127.0.0.1", 0, zone(
		"both.test A 192.0.2.1", "both.test A 192.0.2.2", "both.test AAAA 2001:db8::1",
		"four.test A 192.0.2.4", "empty.test TXT x",
		"short.a.test A 192.0.2.5", "short.b.test A 192.0.2.6", "dotted.name A 192.0.2.7", "dotted.name.a.test A 192.0.2.8",
	))
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost # comment\n10.0.0.9\tDb.local db\r\nfd00::9 db\nbad db\n"
	r := files(s.addr.Port(), hosts, "nameserver 127.0.0.1\nsearch a.test b.test\noptions ndots:1 timeout:5\n")
	for _, tc := range []struct {
		name   string
		opts   Options
		want   string
		canon  string
		failed error
	}{
		{name: "192.0.2.77", want: "192.0.2.77", canon: "192.0.2.77"},
		{name: "::ffff:192.0.2.77", want: "192.0.2.77", canon: "::ffff:192.0.2.77"},
		{name: "2001:db8::7", opts: Options{Family: IPv4}, failed: ErrNoAddress},
		{name: "localhost", opts: Options{Family: IPv4}, want: "127.0.0.1", canon: "localhost"},
		{name: "a.LOCALHOST", opts: Options{Family: IPv6}, want: "::1", canon: "a.LOCALHOST"},
		{name: "DB", opts: Options{Family: IPv4}, want: "10.0.0.9", canon: "Db.local"},
		{name: "db.", opts: Options{Family: IPv6}, want: "fd00::9", canon: "Db.local"},
		{name: "ip6-localhost", opts: Options{Family: IPv4}, failed: ErrNoAddress},
		{name: "four.test", want: "192.0.2.4", canon: "four.test"},
		{name: "Four.TEST.", want: "192.0.2.4", canon: "Four.TEST"},
		{name: "four.test", opts: Options{Family: IPv6}, failed: ErrNoAddress},
		{name: "four.test", opts: Options{HostsOnly: true}, failed: ErrNotFound},
		{name: "empty.test", failed: ErrNoAddress},
		{name: "none.test", failed: ErrNotFound},
		{name: "short", want: "192.0.2.5", canon: "short.a.test"},
		{name: "short.", failed: ErrNotFound},
		{name: "dotted.name", want: "192.0.2.7", canon: "dotted.name"},
		{name: "x.onion", failed: ErrNotFound},
		{name: "", failed: ErrBadName},
		{name: ".", failed: ErrBadName},
		{name: "a..b", failed: ErrBadName},
		{name: "a b", failed: ErrBadName},
		{name: "a\x00b", failed: ErrBadName},
		{name: "fe80::1%eth0", failed: ErrNotFound},
		{name: strings.Repeat("x", 64) + ".test", failed: ErrBadName},
		{name: strings.Repeat("x.", 200) + "test", failed: ErrBadName},
	} {
		res, err := r.Lookup(tc.name, tc.opts)
		if tc.failed != nil {
			if !errors.Is(err, tc.failed) {
				t.Errorf("%q: %v, %v; want %v", tc.name, res, err, tc.failed)
			}
			continue
		}
		if got := join(res.Addrs); err != nil || got != tc.want || res.Canonical != tc.canon {
			t.Errorf("%q: %q (%s), %v; want %q (%s)", tc.name, got, res.Canonical, err, tc.want, tc.canon)
		}
	}
	for _, a := range s.log() {
		if strings.Contains(a, "onion") || strings.Contains(a, "localhost") {
			t.Errorf("the server was asked for %s", a)
		}
	}
	res, err := r.Lookup("both.test", Options{})
	if err != nil || len(res.Addrs) != 3 {
		t.Errorf("both families: %v, %v", res, err)
	}
}

func join(addrs []netip.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return strings.Join(s, " ")
}

func TestSearchOrder(t *testing.T) {
	s := serve(t, "127.0.0.1", 0, zone("x.y.b.test A 192.0.2.1"))
	for _, tc := range []struct{ options, want string }{
		{"", "x.y/A/udp x.y.a.test/A/udp x.y.b.test/A/udp"},
		{"options ndots:2", "x.y.a.test/A/udp x.y.b.test/A/udp"},
	} {
		before := len(s.log())
		r := files(s.addr.Port(), "", "nameserver 127.0.0.1\nsearch a.test b.test\n"+tc.options)
		res, err := r.Lookup("x.y", Options{Family: IPv4})
		if got := strings.Join(s.log()[before:], " "); err != nil || join(res.Addrs) != "192.0.2.1" || got != tc.want {
			t.Errorf("%q: %v, %v after %q; want %q", tc.options, res, err, got, tc.want)
		}
	}
}

func TestCNAMEs(t *testing.T) {
	chain := []string{"end.test A 192.0.2.1"}
	for i := range 40 {
		to := fmt.Sprintf("c%d.test", i+1)
		if i == 39 {
			to = "end.test"
		}
		chain = append(chain, fmt.Sprintf("c%d.test CNAME %s", i, to))
	}
	s := serve(t, "127.0.0.1", 0, func(query []byte, _ bool) [][]byte {
		var records []string
		switch name := parseQuery(query).Name.String(); name {
		case "www.test.":
			records = []string{"real.test A 192.0.2.1", "other.test A 6.6.6.6", "MID.test CNAME real.test", "www.test CNAME mid.TEST"}
		case "loop.test.":
			records = []string{"loop.test CNAME pool.test", "pool.test CNAME loop.test", "end.test A 6.6.6.6"}
		case "dangling.test.":
			records = []string{"dangling.test CNAME gone.test"}
		default:
			records = chain
		}
		return [][]byte{reply(query, nil, records...)}
	})
	r := files(s.addr.Port(), "", "nameserver 127.0.0.1")
	if res, err := r.Lookup("www.test", Options{Family: IPv4}); err != nil || join(res.Addrs) != "192.0.2.1" || res.Canonical != "real.test" {
		t.Errorf("chain: %v, %v", res, err)
	}
	for _, name := range []string{"loop.test", "dangling.test", "c0.test"} {
		if res, err := r.Lookup(name, Options{Family: IPv4}); !errors.Is(err, ErrNoAddress) {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
	if res, err := r.Lookup("c30.test", Options{Family: IPv4}); err != nil || join(res.Addrs) != "192.0.2.1" {
		t.Errorf("a chain of ten: %v, %v", res, err)
	}
}

func TestTruncatedAnswerComesByTCP(t *testing.T) {
	var records []string
	for i := range 100 {
		records = append(records, fmt.Sprintf("big.test A 192.0.2.%d", i))
	}
	s := serve(t, "127.0.0.1", 0, func(query []byte, tcp bool) [][]byte {
		if !tcp {
			return [][]byte{reply(query, func(m *dnsmessage.Message) { m.Truncated = true }, "big.test A 6.6.6.6")}
		}
		return [][]byte{reply(query, nil, records...)}
	})
	for _, options := range []string{"", "options use-vc"} {
		r := files(s.addr.Port(), "", "nameserver 127.0.0.1\n"+options)
		res, err := r.Lookup("big.test", Options{Family: IPv4})
		if err != nil || len(res.Addrs) != MaxAddrs || res.Addrs[0] != netip.MustParseAddr("192.0.2.0") {
			t.Errorf("%q: %v, %v", options, res, err)
		}
	}
	if got := strings.Join(s.log(), " "); got != "big.test/A/udp big.test/A/tcp big.test/A/tcp" {
		t.Errorf("asked %s", got)
	}
}

func TestTruncatedByTCPToo(t *testing.T) {
	s := serve(t, "127.0.0.1", 0, func(query []byte, tcp bool) [][]byte {
		return [][]byte{reply(query, func(m *dnsmessage.Message) { m.Truncated = true })}
	})
	r := files(s.addr.Port(), "", "nameserver 127.0.0.1")
	if res, err := r.Lookup("x.test", Options{}); !errors.Is(err, ErrTemporary) {
		t.Errorf("%v, %v", res, err)
	}
}

func TestDeadServers(t *testing.T) {
	// 127.0.0.2 refuses (nothing is bound there), 127.0.0.3 says nothing,
	// 127.0.0.1 answers.
	s := serve(t, "127.0.0.1", 0, zone("x.test A 192.0.2.1"))
	serve(t, "127.0.0.3", s.addr.Port(), silent)
	for _, tc := range []struct {
		name, conf string
		within     time.Duration
		failed     error
	}{
		{"refusing first", "nameserver 127.0.0.2\nnameserver 127.0.0.1\noptions timeout:30", 2900 * time.Millisecond, nil},
		{"silent first", "nameserver 127.0.0.3\nnameserver 127.0.0.1\noptions timeout:1", 5 * time.Second, nil},
		{"all dead", "nameserver 127.0.0.2\nnameserver 127.0.0.3\noptions timeout:1 attempts:2\nsearch a b c d e f", 5 * time.Second, ErrTemporary},
		{"fourth server is none", "nameserver 127.0.0.2\nnameserver 127.0.0.2\nnameserver 127.0.0.2\nnameserver 127.0.0.1", 5 * time.Second, ErrTemporary},
		{"no server", "options attempts:1", 5 * time.Second, ErrTemporary},
		{"bad server", "nameserver example.com", 5 * time.Second, ErrTemporary},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := files(s.addr.Port(), "", tc.conf)
			start := time.Now()
			res, err := r.Lookup("x.test", Options{})
			if tc.failed == nil && (err != nil || join(res.Addrs) != "192.0.2.1") || !errors.Is(err, tc.failed) {
				t.Errorf("%v, %v", res, err)
			}
			if took := time.Since(start); took > tc.within {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestSlowServer(t *testing.T) {
	s := serve(t, "127.0.0.1", 0, func(query []byte, tcp bool) [][]byte {
		time.Sleep(150 * time.Millisecond)
		return zone("x.test A 192.0.2.1", "x.test AAAA 2001:db8::1")(query, tcp)
	})
	r := files(s.addr.Port(), "", "nameserver 127.0.0.1\noptions timeout:10")
	if res, err := r.Lookup("x.test", Options{}); err != nil || len(res.Addrs) != 2 {
		t.Errorf("%v, %v", res, err)
	}
}

func TestAnswerForOneFamilyOnly(t *testing.T) {
	s := serve(t, "127.0.0.1", 0, func(query []byte, tcp bool) [][]byte {
		if parseQuery(query).Type == dnsmessage.TypeAAAA {
			return nil
		}
		return zone("x.test A 192.0.2.1")(query, tcp)
	})
	r := files(s.addr.Port(), "", "nameserver 127.0.0.1\noptions timeout:10 attempts:5")
	start := time.Now()
	res, err := r.Lookup("x.test", Options{})
	if err != nil || join(res.Addrs) != "192.0.2.1" || time.Since(start) > 4*time.Second {
		t.Errorf("%v, %v after %v", res, err, time.Since(start))
	}
}

func TestErrorCodes(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*dnsmessage.Message)
		want error
	}{
		{"SERVFAIL", rcode(dnsmessage.RCodeServerFailure), ErrTemporary},
		{"REFUSED", rcode(dnsmessage.RCodeRefused), ErrFailed},
		{"FORMERR", rcode(dnsmessage.RCodeFormatError), ErrFailed},
		{"lame", func(m *dnsmessage.Message) { m.RecursionAvailable = false }, ErrFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			good := serve(t, "127.0.0.1", 0, zone("x.test A 192.0.2.1"))
			bad := serve(t, "127.0.0.2", good.addr.Port(), func(query []byte, _ bool) [][]byte {
				return [][]byte{reply(query, tc.edit)}
			})
			r := files(good.addr.Port(), "", "nameserver 127.0.0.2")
			if res, err := r.Lookup("x.test", Options{}); !errors.Is(err, tc.want) {
				t.Errorf("alone: %v, %v", res, err)
			}
			if n := len(bad.log()); n != 4 {
				t.Errorf("asked %d times, want two for each of two attempts", n)
			}
			r = files(good.addr.Port(), "", "nameserver 127.0.0.2\nnameserver 127.0.0.1")
			if res, err := r.Lookup("x.test", Options{}); err != nil || join(res.Addrs) != "192.0.2.1" {
				t.Errorf("with a good one: %v, %v", res, err)
			}
		})
	}
}

// Replies that are not to our question are as if they had not come; the true
// one after them counts.
func TestPoison(t *testing.T) {
	evil := "x.test A 6.6.6.6"
	for name, forge := range map[string]func(query []byte) []byte{
		"identifier": func(q []byte) []byte { m := reply(q, nil, evil); m[0]++; return m },
		"not a reply": func(q []byte) []byte {
			return reply(q, func(m *dnsmessage.Message) { m.Response = false }, evil)
		},
		"other name": func(q []byte) []byte {
			return reply(q, func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("y.test.") }, evil)
		},
		"other type": func(q []byte) []byte {
			return reply(q, func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeMX }, evil)
		},
		"other class": func(q []byte) []byte {
			return reply(q, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }, evil)
		},
		"no question": func(q []byte) []byte {
			return reply(q, func(m *dnsmessage.Message) { m.Questions = nil }, evil)
		},
		"two questions": func(q []byte) []byte {
			return reply(q, func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }, evil)
		},
		"empty": func(q []byte) []byte { return nil },
		"short": func(q []byte) []byte { return reply(q, nil, evil)[:11] },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, "127.0.0.1", 0, func(query []byte, tcp bool) [][]byte {
				return append([][]byte{forge(query), forge(query)}, zone("x.test A 192.0.2.1")(query, tcp)...)
			})
			r := files(s.addr.Port(), "", "nameserver 127.0.0.1\noptions timeout:20")
			if res, err := r.Lookup("x.test", Options{Family: IPv4}); err != nil || join(res.Addrs) != "192.0.2.1" {
				t.Errorf("%v, %v", res, err)
			}
		})
	}
}

func TestRecordsOfOtherNamesArePassedOver(t *testing.T) {
	s := serve(t, "127.0.0.1", 0, func(query []byte, _ bool) [][]byte {
		return [][]byte{reply(query, nil, "bank.test A 6.6.6.6", "x.test A 192.0.2.1", "bank.test CNAME x.test", "x.test TXT t")}
	})
	r := files(s.addr.Port(), "", "nameserver 127.0.0.1")
	if res, err := r.Lookup("x.test", Options{Family: IPv4}); err != nil || join(res.Addrs) != "192.0.2.1" {
		t.Errorf("%v, %v", res, err)
	}
}

func TestAnswerFromElsewhereIsNotHeard(t *testing.T) {
	elsewhere, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	// The socket's own port shows in the query's source, which a handler does
	// not see: send to every port the kernel may have given would be the
	// attack; here the resolver's connected socket is looked for by its peer.
	s := serve(t, "127.0.0.1", 0, silent)
	fd, err := connected(unix.SOCK_DGRAM, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: sa.(*unix.SockaddrInet4).Port}
	if _, err := elsewhere.WriteTo([]byte("poison"), to); err != nil {
		t.Fatal(err)
	}
	var buf [16]byte
	if n, err := receive(fd, buf[:], time.Now().Add(50*time.Millisecond)); err != errTimeout {
		t.Errorf("received %d bytes, %v", n, err)
	}
}

func TestFloodOfGuessesEndsTheSocket(t *testing.T) {
	asked := 0
	s := serve(t, "127.0.0.1", 0, func(query []byte, _ bool) [][]byte {
		asked++
		if asked > 1 {
			return zone("x.test A 192.0.2.1")(query, false)
		}
		var flood [][]byte
		for i := range 2 * maxStray {
			m := reply(query, nil, "x.test A 6.6.6.6")
			binary.BigEndian.PutUint16(m, binary.BigEndian.Uint16(m)+uint16(i)+1)
			flood = append(flood, m)
		}
		return flood
	})
	r := files(s.addr.Port(), "", "nameserver 127.0.0.1\noptions timeout:30")
	start := time.Now()
	res, err := r.Lookup("x.test", Options{Family: IPv4})
	if err != nil || join(res.Addrs) != "192.0.2.1" || time.Since(start) > 2900*time.Millisecond {
		t.Errorf("%v, %v after %v", res, err, time.Since(start))
	}
}

func TestIdentifiersAreRandomAndDistinct(t *testing.T) {
	seen := make(map[uint16]bool)
	for range 200 {
		qs, _ := newQuestions("x.test", Any)
		if err := newIDs(qs); err != nil || qs[0].id == qs[1].id {
			t.Fatal(err, qs[0].id, qs[1].id)
		}
		seen[qs[0].id], seen[qs[1].id] = true, true
	}
	if len(seen) < 380 {
		t.Errorf("400 identifiers, %d different", len(seen))
	}
}

func TestRotate(t *testing.T) {
	a := serve(t, "127.0.0.1", 0, zone("x.test A 192.0.2.1"))
	b := serve(t, "127.0.0.2", a.addr.Port(), zone("x.test A 192.0.2.1"))
	r := files(a.addr.Port(), "", "nameserver 127.0.0.1\nnameserver 127.0.0.2\noptions rotate")
	for range 4 {
		if _, err := r.Lookup("x.test", Options{Family: IPv4}); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.log()) != 2 || len(b.log()) != 2 {
		t.Errorf("asked %d and %d times", len(a.log()), len(b.log()))
	}
}

func TestParseResolv(t *testing.T) {
	c := parseResolv([]byte("; comment\n# comment\nnameserver 1.1.1.1 # x\nnameserver fe80::1%2\nnameserver\nnameserver x\n" +
		"domain old.test\nsearch a.test. .. b.test\noptions ndots:99 timeout:0 attempts:99 edns0 rotate ndots:x single-request\nsortlist 1.2.3.4\n"))
	got := fmt.Sprintf("%v %v %d %d %d %v %v %v", c.servers, c.search, c.ndots, c.timeout, c.attempts, c.rotate, c.useTCP, c.single)
	if want := "[1.1.1.1 fe80::1%2] [a.test b.test] 15 1 5 true false true"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPort(t *testing.T) {
	r := New(func(path string, _ int) ([]byte, error) {
		if path == servicesPath {
			return []byte("# x\nfoo 7/tcp bar\nfoo 8/udp\nhttp 8081/tcp\nbad\nbig 70000/tcp\n"), nil
		}
		return nil, os.ErrNotExist
	})
	for _, tc := range []struct {
		service, proto string
		want           uint16
		ok             bool
	}{
		{"", "tcp", 0, true}, {"80", "", 80, true}, {"65536", "", 0, false}, {"8x", "", 0, false}, {"-1", "", 0, false},
		{"foo", "tcp", 7, true}, {"foo", "udp", 8, true}, {"bar", "", 7, true}, {"http", "tcp", 8081, true},
		{"https", "tcp", 443, true}, {"nope", "", 0, false}, {"7/tcp", "", 0, false}, {"big", "tcp", 0, false},
	} {
		if got, ok := r.Port(tc.service, tc.proto); got != tc.want || ok != tc.ok {
			t.Errorf("%s/%s: %d, %v", tc.service, tc.proto, got, ok)
		}
	}
}

func TestPin(t *testing.T) {
	hosts := "192.0.2.1 db\n"
	r := New(func(path string, _ int) ([]byte, error) { return []byte(hosts), nil })
	r.Pin()
	hosts = "6.6.6.6 db\n"
	if res, err := r.Lookup("db", Options{}); err != nil || join(res.Addrs) != "192.0.2.1" {
		t.Errorf("%v, %v", res, err)
	}
}

func TestInRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/hosts", "1.2.3.4 x\n")
	write("etc/big", strings.Repeat("x", 10000))
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"etc/abs": "/etc/hosts", "etc/out": outside, "etc/up": "../../../../../../etc/passwd"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(root, "etc/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	read := InRoot(int(dir.Fd()))
	for path, want := range map[string]string{"/etc/hosts": "1.2.3.4 x\n", "/etc/abs": "1.2.3.4 x\n", "/etc/big": strings.Repeat("x", 100)} {
		if data, err := read(path, 100); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	for _, path := range []string{"/etc/out", "/etc/up", "/etc/fifo", "/etc", "/etc/none"} {
		if data, err := read(path, 100); err == nil {
			t.Errorf("%s: %q", path, data)
		}
	}
}

func FuzzReply(f *testing.F) {
	q := func() *question {
		return &question{id: 7, name: dnsmessage.MustNewName("x.test."), kind: dnsmessage.TypeA}
	}
	query, _ := q().pack(nil)
	f.Add(reply(query, nil, "x.test CNAME y.test", "y.test A 192.0.2.1"))
	f.Add(reply(query, rcode(dnsmessage.RCodeNameError)))
	f.Add(query)
	f.Fuzz(func(t *testing.T, msg []byte) {
		q := q()
		if !q.take(msg) && (q.answered || q.failed != nil || len(q.addrs) > 0) {
			t.Error("a reply that was not taken left something")
		}
		if len(q.addrs) > MaxAddrs {
			t.Error("too many addresses")
		}
	})
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost\nnameserver 1.1.1.1\noptions ndots:5\nsearch a b\n"), "localhost")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		hostsLookup(data, name, Any)
		c := parseResolv(data)
		if len(c.servers) > maxServers || len(c.search) > maxSearch || c.timeout < 1 || c.timeout > maxTimeout {
			t.Errorf("%+v", c)
		}
		c.candidates(name, false)
	})
}

func BenchmarkLookupHosts(b *testing.B) {
	r := files(53, "127.0.0.1 localhost\n::1 ip6-localhost\n10.0.0.9 db\n", "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Lookup("db", Options{Family: IPv4}); err != nil {
			b.Fatal(err)
		}
	}
}
