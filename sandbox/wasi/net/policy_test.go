// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/resolve"
)

func TestBindWithinThePolicy(t *testing.T) {
	probe := listening(t, free(), "127.0.0.1:0")
	port := local(t, probe).Port()
	probe.Close()
	n, refused := granted(t, fmt.Sprintf("tcp:127.0.0.1:%d", port), "none")
	at := func(ip string, port uint16) Addr {
		return Addr{AddrPort: netip.AddrPortFrom(netip.MustParseAddr(ip), port)}
	}
	for _, tc := range []struct {
		kind descriptor.Kind
		at   Addr
	}{
		{stream, at("0.0.0.0", port)}, {stream, at("127.0.0.1", port+1)}, {stream, at("127.0.0.1", 0)}, {datagram, at("127.0.0.1", port)},
	} {
		if errno := open(t, n, IPv4, tc.kind).Bind(tc.at); errno != syscall.EACCES {
			t.Errorf("bind %v: %v", tc.at, errno)
		}
	}
	if len(*refused) != 4 || !strings.HasPrefix((*refused)[0], "listen tcp 0.0.0.0:") {
		t.Errorf("refused %q", *refused)
	}
	s := open(t, n, IPv4, stream)
	ok(t, s.Bind(at("127.0.0.1", port)))
	ok(t, s.Listen(1))
	// Listening without bind takes a port of the kernel's choice.
	if errno := open(t, n, IPv4, stream).Listen(1); errno != syscall.EACCES {
		t.Errorf("listen without bind: %v", errno)
	}
}

// A client may bind to a port of the kernel's choice, and then not listen.
func TestClientDoesNotListen(t *testing.T) {
	n, _ := granted(t, "none", "127.0.0.1:1")
	s := open(t, n, IPv4, stream)
	ok(t, s.Bind(addr("127.0.0.1:0")))
	if errno := s.Listen(1); errno != syscall.EACCES {
		t.Errorf("listen: %v", errno)
	}
}

func TestConnectWithinThePolicy(t *testing.T) {
	l := listening(t, free(), "127.0.0.1:0")
	to := local(t, l)
	n, refused := granted(t, "none", to.AddrPort.String())
	ok(t, open(t, n, IPv4, stream).Connect(to))
	mapped := Addr{AddrPort: netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())}
	ok(t, open(t, n, IPv6, stream).Connect(mapped))
	for _, a := range []string{"127.0.0.2:" + fmt.Sprint(to.Port()), "127.0.0.1:1", "0.0.0.0:" + fmt.Sprint(to.Port())} {
		if errno := open(t, n, IPv4, stream).Connect(addr(a)); errno != syscall.EACCES {
			t.Errorf("connect %s: %v", a, errno)
		}
		s := open(t, n, IPv4, datagram)
		if _, errno := s.SendTo(vec("x"), addr(a)); errno != syscall.EACCES {
			t.Errorf("send to %s: %v", a, errno)
		}
	}
	if len(*refused) != 6 {
		t.Errorf("refused %q", *refused)
	}
}

// A server answers who spoke to it, and nobody else.
func TestDatagramServerAnswers(t *testing.T) {
	probe := open(t, free(), IPv4, datagram)
	ok(t, probe.Bind(addr("127.0.0.1:0")))
	at := local(t, probe)
	probe.Close()
	n, _ := granted(t, fmt.Sprintf("udp:%d", at.Port()), "none")
	server := open(t, n, IPv4, datagram)
	ok(t, server.Bind(at))
	client, other := open(t, free(), IPv4, datagram), open(t, free(), IPv4, datagram)
	ok(t, client.Bind(addr("127.0.0.1:0")))
	ok(t, other.Bind(addr("127.0.0.1:0")))
	if _, errno := server.SendTo(vec("x"), local(t, client)); errno != syscall.EACCES {
		t.Errorf("before it spoke: %v", errno)
	}
	client.SendTo(vec("hello"), at)
	_, from, _, errno := server.RecvFrom(room(10), 0)
	ok(t, errno)
	if _, errno := server.SendTo(vec("answer"), from); errno != 0 {
		t.Errorf("after it spoke: %v", errno)
	}
	if _, errno := server.SendTo(vec("x"), local(t, other)); errno != syscall.EACCES {
		t.Errorf("to another: %v", errno)
	}
	// Another socket of the guest has heard nothing.
	if _, errno := open(t, n, IPv4, datagram).SendTo(vec("x"), from); errno != syscall.EACCES {
		t.Errorf("from another socket: %v", errno)
	}
}

// A client's socket hears only from where it may send to.
func TestDatagramClientIsNoServer(t *testing.T) {
	friend, stranger := open(t, free(), IPv4, datagram), open(t, free(), IPv4, datagram)
	ok(t, friend.Bind(addr("127.0.0.1:0")))
	ok(t, stranger.Bind(addr("127.0.0.1:0")))
	n, _ := granted(t, "none", local(t, friend).AddrPort.String())
	client := open(t, n, IPv4, datagram)
	ok(t, client.Bind(addr("127.0.0.1:0")))
	at := local(t, client)
	for _, flags := range []descriptor.RecvFlags{0, descriptor.Peek} {
		stranger.SendTo(vec("evil"), at)
		friend.SendTo(vec("good"), at)
		v := room(10)
		m, from, _, errno := client.RecvFrom(v, flags)
		if errno != 0 || text(v, m) != "good" || from != local(t, friend) {
			t.Errorf("received %q from %v, %v", text(v, m), from, errno)
		}
	}
	client.RecvFrom(room(10), 0) // what was peeked
	stranger.SendTo(vec("evil"), at)
	ok(t, client.SetFlags(descriptor.Nonblock))
	if _, _, _, errno := client.RecvFrom(room(10), 0); errno != syscall.EAGAIN {
		t.Errorf("a stranger's datagram: %v", errno)
	}
}

func TestPeersAreBounded(t *testing.T) {
	var p peers
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)}), 1)
	}
	for i := range 3 * maxPeers {
		p.add(at(i))
		p.add(at(i))
	}
	if len(p.known) != maxPeers || p.has(at(0)) || !p.has(at(3*maxPeers-1)) {
		t.Errorf("%d known", len(p.known))
	}
}

func TestLookupWithinThePolicy(t *testing.T) {
	hosts := "127.0.0.1 localhost evil.test\n192.0.2.7 db.test other.test\n192.0.2.8 db.test\n127.0.0.9 db.test\n"
	resolver := resolve.New(func(path string, _ int) ([]byte, error) {
		if path == "/etc/hosts" {
			return []byte(hosts), nil
		}
		return nil, os.ErrNotExist
	})
	rules, err := policy.ParseConnect("db.test:5432,evil.test:80,127.0.0.1:6379")
	if err != nil {
		t.Fatal(err)
	}
	n := New(policy.New(policy.Grants{Connect: rules}, nil), resolver)
	n.Begin()
	hosts = "6.6.6.6 db.test evil.test\n" // the guest rewrites the file
	for name, want := range map[string]string{
		"db.test":    "[192.0.2.7 192.0.2.8]",
		"localhost":  "[127.0.0.1]", // within the range that is granted
		"192.0.2.99": "[192.0.2.99]",
	} {
		res, err := n.Lookup(name, resolve.IPv4)
		if err != nil || fmt.Sprint(res.Addrs) != want {
			t.Errorf("%s: %v, %v; want %s", name, res.Addrs, err, want)
		}
	}
	if res, err := n.Lookup("other.test", resolve.IPv4); err != syscall.EACCES {
		t.Errorf("a name of an address that is not granted by it: %v, %v", res, err)
	}
	if res, err := New(policy.New(policy.Grants{}, nil), resolver).Lookup("localhost", resolve.Any); err != syscall.EACCES {
		t.Errorf("without a rule: %v, %v", res, err)
	}
	s := open(t, n, IPv4, stream)
	ok(t, s.SetFlags(descriptor.Nonblock))
	for to, want := range map[string]bool{
		"192.0.2.7:5432": true, "192.0.2.7:5433": false, "127.0.0.9:5432": false, "6.6.6.6:5432": false, "127.0.0.1:80": false,
	} {
		if got := s.mayReach(netip.MustParseAddrPort(to)); got != want {
			t.Errorf("reach %s: %v", to, got)
		}
	}
}

// unixNetwork has its preopen at a directory of the test.
func unixNetwork(t *testing.T, listen, connect string) (*Network, string) {
	t.Helper()
	n, _ := granted(t, listen, connect)
	dir := t.TempDir()
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(root) })
	n.OpenDir = func(path string, _ bool) (int, Errno) {
		fd, err := unix.Openat2(root, path, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS})
		if err != nil {
			return -1, err.(syscall.Errno)
		}
		return fd, 0
	}
	return n, dir
}

func TestUnixSockets(t *testing.T) {
	n, dir := unixNetwork(t, "unix:/run/app.sock,unix:/run/gram", "unix:/run/")
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Getwd()
	server := open(t, n, Unix, stream)
	ok(t, server.Bind(Addr{Path: "/run/app.sock"}))
	ok(t, server.Listen(5))
	client := open(t, n, Unix, stream)
	ok(t, client.Connect(Addr{Path: "/run/app.sock"}))
	s, errno := server.accept(0)
	ok(t, errno)
	defer s.Close()
	client.Writev(vec("hello"))
	v := room(5)
	if m, errno := s.Readv(v); m != 5 || errno != 0 || text(v, m) != "hello" {
		t.Errorf("%q, %v", text(v, m), errno)
	}
	gram, other := open(t, n, Unix, datagram), open(t, n, Unix, datagram)
	ok(t, gram.Bind(Addr{Path: "/run/gram"}))
	if _, errno := other.SendTo(vec("datagram"), Addr{Path: "/run/gram"}); errno != 0 {
		t.Error(errno)
	}
	v = room(20)
	if m, from, _, errno := gram.RecvFrom(v, 0); errno != 0 || text(v, m) != "datagram" || from != (Addr{}) {
		t.Errorf("%q from %v, %v", text(v, m), from, errno)
	}
	if after, _ := os.Getwd(); after != before {
		t.Errorf("working directory %s, was %s", after, before)
	}
}

func TestUnixSocketsOutsideTheRules(t *testing.T) {
	n, dir := unixNetwork(t, "unix:/run/app.sock", "unix:/run/app.sock,unix:/run/link,unix:/run/file")
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	// A socket that the guest must not reach, and ways to it.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	secret := filepath.Join(dir, "secret")
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: secret}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	os.Symlink(secret, filepath.Join(run, "link"))
	os.WriteFile(filepath.Join(run, "file"), nil, 0o644)
	for path, want := range map[string]Errno{
		"/secret": syscall.EACCES, "/run/../secret": syscall.EACCES, "\x00abstract": syscall.EACCES, "": syscall.EACCES,
		"/run/link": syscall.ECONNREFUSED, "/run/file": syscall.ECONNREFUSED, "/run/app.sock": syscall.ENOENT,
	} {
		if errno := open(t, n, Unix, stream).Connect(Addr{Path: path}); errno != want {
			t.Errorf("connect %q: %v, want %v", path, errno, want)
		}
	}
	for _, path := range []string{"/run/other.sock", "\x00x", ""} {
		if errno := open(t, n, Unix, stream).Bind(Addr{Path: path}); errno != syscall.EACCES {
			t.Errorf("bind %q: %v", path, errno)
		}
	}
	if _, errno := free().Open(Unix, stream); errno != syscall.EAFNOSUPPORT {
		t.Errorf("without a rule: %v", errno)
	}
}
