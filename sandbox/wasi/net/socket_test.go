// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/poll"
)

const (
	stream   = descriptor.StreamSocket
	datagram = descriptor.DatagramSocket
)

func free() *Network { return New(policy.New(policy.Free(), nil), nil) }

// granted makes a network of rules, and collects what it refuses.
func granted(t *testing.T, listen, connect string) (*Network, *[]string) {
	t.Helper()
	l, err := policy.ParseListen(listen)
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.ParseConnect(connect)
	if err != nil {
		t.Fatal(err)
	}
	refused := new([]string)
	return New(policy.New(policy.Grants{Listen: l, Connect: c}, func(s string) { *refused = append(*refused, s) }), nil), refused
}

func ok(t testing.TB, errno Errno) {
	t.Helper()
	if errno != 0 {
		t.Fatal(errno)
	}
}

func open(t testing.TB, n *Network, family Family, kind descriptor.Kind) *Socket {
	t.Helper()
	s, errno := n.Open(family, kind)
	ok(t, errno)
	t.Cleanup(func() { s.Close() })
	return s
}

func addr(s string) Addr { return Addr{AddrPort: netip.MustParseAddrPort(s)} }

func local(t testing.TB, s *Socket) Addr {
	t.Helper()
	a, errno := s.LocalAddr()
	ok(t, errno)
	return a
}

// listening gives a listening socket on a loopback address.
func listening(t testing.TB, n *Network, at string) *Socket {
	t.Helper()
	a := addr(at)
	family := IPv4
	if a.Addr().Is6() {
		family = IPv6
	}
	s := open(t, n, family, stream)
	ok(t, s.Bind(a))
	ok(t, s.Listen(16))
	return s
}

// pair gives two ends of a connection.
func pair(t testing.TB) (a, b *Socket) {
	t.Helper()
	n := free()
	l := listening(t, n, "127.0.0.1:0")
	a = open(t, n, IPv4, stream)
	ok(t, a.Connect(local(t, l)))
	b, errno := l.accept(0)
	ok(t, errno)
	t.Cleanup(func() { b.Close() })
	return a, b
}

func vec(s ...string) (v [][]byte) {
	for _, s := range s {
		v = append(v, []byte(s))
	}
	return v
}

func room(n ...int) (v [][]byte) {
	for _, n := range n {
		v = append(v, make([]byte, n))
	}
	return v
}

func text(v [][]byte, n int) string { return string(bytes.Join(v, nil)[:n]) }

func TestStream(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(at, func(t *testing.T) {
			n := free()
			l := listening(t, n, at)
			to := local(t, l)
			if to.Addr().IsUnspecified() {
				to = Addr{AddrPort: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())}
			}
			family := IPv4
			if to.Addr().Is6() {
				family = IPv6
			}
			c := open(t, n, family, stream)
			ok(t, c.Connect(to))
			s, errno := l.accept(0)
			ok(t, errno)
			defer s.Close()
			peer, errno := s.PeerAddr()
			ok(t, errno)
			if mine := local(t, c); peer.Addr().Unmap() != mine.Addr() || peer.Port() != mine.Port() {
				t.Errorf("peer %v, client %v", peer, mine)
			}
			m, errno := c.Writev(vec("hello", "", " ", "world"))
			ok(t, errno)
			if m != 11 {
				t.Errorf("wrote %d", m)
			}
			v := room(3, 0, 20)
			m, errno = s.Readv(v)
			ok(t, errno)
			if got := text(v[:1], 3) + text(v[2:], m-3); got != "hello world" {
				t.Errorf("read %q", got)
			}
		})
	}
}

func TestHalfClose(t *testing.T) {
	a, b := pair(t)
	ok(t, a.Shutdown(descriptor.ShutWrite))
	if n, errno := b.Readv(room(1)); n != 0 || errno != 0 {
		t.Errorf("read at the end: %d, %v", n, errno)
	}
	if _, errno := a.Writev(vec("x")); errno != syscall.EPIPE {
		t.Errorf("write after shutdown: %v", errno)
	}
	if n, errno := b.Writev(vec("still")); n != 5 || errno != 0 {
		t.Errorf("the other direction: %d, %v", n, errno)
	}
	v := room(5)
	if n, errno := a.Readv(v); n != 5 || errno != 0 || text(v, 5) != "still" {
		t.Errorf("the other direction: %d, %v", n, errno)
	}
	for _, how := range []descriptor.How{0, 4, 255} {
		if errno := a.Shutdown(how); errno != syscall.EINVAL {
			t.Errorf("shutdown %d: %v", how, errno)
		}
	}
	if errno := open(t, free(), IPv4, stream).Shutdown(descriptor.ShutBoth); errno != syscall.ENOTCONN {
		t.Errorf("shutdown without connection: %v", errno)
	}
}

func TestNonblocking(t *testing.T) {
	a, b := pair(t)
	ok(t, a.SetFlags(descriptor.Nonblock|descriptor.Append))
	if a.Flags() != descriptor.Nonblock {
		t.Errorf("flags %v", a.Flags())
	}
	if _, errno := a.Readv(room(1)); errno != syscall.EAGAIN {
		t.Errorf("read: %v", errno)
	}
	if _, _, errno := a.Recv(room(1), descriptor.Peek|descriptor.WaitAll); errno != syscall.EAGAIN {
		t.Errorf("peek: %v", errno)
	}
	var errno Errno
	for errno == 0 {
		_, errno = a.Writev(room(1 << 20))
	}
	if errno != syscall.EAGAIN {
		t.Errorf("write: %v", errno)
	}
	l := listening(t, free(), "127.0.0.1:0")
	ok(t, l.SetFlags(descriptor.Nonblock))
	if _, errno := l.Accept(0); errno != syscall.EAGAIN {
		t.Errorf("accept: %v", errno)
	}
	ok(t, a.SetFlags(0))
	var group sync.WaitGroup
	group.Go(func() {
		for range 2 {
			b.Readv(room(1 << 20))
		}
		b.Writev(vec("x"))
		for {
			if n, errno := b.Readv(room(1 << 20)); n == 0 || errno != 0 {
				return
			}
		}
	})
	if _, errno := a.Writev(room(8 << 20)); errno != 0 {
		t.Errorf("blocking write: %v", errno)
	}
	if n, errno := a.Readv(room(1)); n != 1 || errno != 0 {
		t.Errorf("blocking read: %d, %v", n, errno)
	}
	a.Shutdown(descriptor.ShutBoth)
	group.Wait()
}

func TestNonblockingConnect(t *testing.T) {
	n := free()
	l := listening(t, n, "127.0.0.1:0")
	c := open(t, n, IPv4, stream)
	ok(t, c.SetFlags(descriptor.Nonblock))
	if errno := c.Connect(local(t, l)); errno != 0 && errno != syscall.EINPROGRESS {
		t.Fatal(errno)
	}
	if _, errno := poll.One(c.PollFD(), poll.Out, 5*time.Second); errno != 0 {
		t.Fatal(errno)
	}
	if v, errno := c.Option(Error); v != 0 || errno != 0 {
		t.Errorf("outcome %d, %v", v, errno)
	}
}

func TestConnectErrors(t *testing.T) {
	n := free()
	l := listening(t, n, "127.0.0.1:0")
	dead := local(t, l)
	l.Close()
	if errno := open(t, n, IPv4, stream).Connect(dead); errno != syscall.ECONNREFUSED {
		t.Errorf("nobody there: %v", errno)
	}
	if errno := open(t, n, IPv4, stream).Connect(addr("[::1]:1")); errno != syscall.EAFNOSUPPORT {
		t.Errorf("other family: %v", errno)
	}
	if errno := open(t, n, IPv4, stream).Connect(Addr{}); errno != syscall.EINVAL {
		t.Errorf("no address: %v", errno)
	}
	for _, f := range []Family{0, 16, 17, 255} { // netlink, packet
		if _, errno := n.Open(f, stream); errno != syscall.EAFNOSUPPORT {
			t.Errorf("family %d: %v", f, errno)
		}
	}
	if _, errno := n.Open(IPv4, descriptor.Directory); errno != syscall.EINVAL {
		t.Errorf("kind: %v", errno)
	}
}

func TestTimeouts(t *testing.T) {
	a, _ := pair(t)
	ok(t, a.SetRecvTimeout(30*time.Millisecond))
	begin := time.Now()
	if _, errno := a.Readv(room(1)); errno != syscall.EAGAIN || time.Since(begin) < 30*time.Millisecond {
		t.Errorf("%v after %v", errno, time.Since(begin))
	}
	if errno := a.SetRecvTimeout(-1); errno != syscall.EDOM {
		t.Errorf("negative: %v", errno)
	}
}

func TestPeekAndWaitAll(t *testing.T) {
	a, b := pair(t)
	a.Writev(vec("abc"))
	v := room(2)
	for range 2 {
		if n, _, errno := b.Recv(v, descriptor.Peek); n != 2 || errno != 0 || text(v, 2) != "ab" {
			t.Errorf("peek: %d, %v", n, errno)
		}
	}
	done := make(chan struct{})
	go func() { a.Writev(vec("def")); close(done) }()
	v = room(6)
	if n, _, errno := b.Recv(v, descriptor.Peek|descriptor.WaitAll); n != 6 || errno != 0 || text(v, 6) != "abcdef" {
		t.Errorf("peek for all: %d, %v", n, errno)
	}
	<-done
	go func() { a.Writev(vec("ghi")); a.Shutdown(descriptor.ShutWrite) }() // b waits for the end of both
	v = room(4, 0, 1, 3)
	if n, _, errno := b.Recv(v, descriptor.WaitAll); n != 8 || errno != 0 || text(v, 8) != "abcdefgh" {
		t.Errorf("wait for all: %d, %v", n, errno)
	}
	v = room(4)
	if n, _, errno := b.Recv(v, descriptor.WaitAll); n != 1 || errno != 0 || text(v, 1) != "i" {
		t.Errorf("wait for all at the end: %d, %v", n, errno)
	}
	if v, errno := b.Option(RecvLowWater); v != 1 || errno != 0 {
		t.Errorf("low water is left at %d, %v", v, errno)
	}
}

func TestDatagrams(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		n := free()
		family := IPv4
		if strings.Contains(at, "::") {
			family = IPv6
		}
		a, b := open(t, n, family, datagram), open(t, n, family, datagram)
		ok(t, a.Bind(addr(at)))
		ok(t, b.Bind(addr(at)))
		for _, msg := range [][]string{{"hello"}, {}, {"two ", "parts"}} {
			if _, errno := a.SendTo(vec(msg...), local(t, b)); errno != 0 {
				t.Fatal(errno)
			}
			v := room(100)
			m, from, truncated, errno := b.RecvFrom(v, 0)
			ok(t, errno)
			if text(v, m) != strings.Join(msg, "") || truncated || from != local(t, a) {
				t.Errorf("%q from %v, truncated %v", text(v, m), from, truncated)
			}
		}
		a.SendTo(vec("too long"), local(t, b))
		if m, truncated, errno := b.Recv(room(3), 0); m != 3 || !truncated || errno != 0 {
			t.Errorf("short buffer: %d, %v, %v", m, truncated, errno)
		}
		if errno := a.Listen(1); errno != syscall.EOPNOTSUPP {
			t.Errorf("listen: %v", errno)
		}
		if _, errno := a.Writev(vec("x")); errno != syscall.EDESTADDRREQ {
			t.Errorf("send without peer: %v", errno)
		}
		ok(t, a.Connect(local(t, b)))
		if _, errno := a.Writev(vec("x")); errno != 0 {
			t.Errorf("send to the peer: %v", errno)
		}
	}
}

func TestOptions(t *testing.T) {
	s := open(t, free(), IPv6, stream)
	for option, value := range map[Option]int{
		ReuseAddress: 1, KeepAlive: 1, Broadcast: 1, NoDelay: 1, V6Only: 1, TTL: 7,
		KeepIdle: 11, KeepInterval: 12, KeepCount: 5, RecvLowWater: 3, OOBInline: 1,
	} {
		ok(t, s.SetOption(option, value))
		if got, errno := s.Option(option); got != value || errno != 0 {
			t.Errorf("option %d: %d, %v; want %d", option, got, errno, value)
		}
	}
	for _, option := range []Option{Error, Accepting, DontRoute} {
		if errno := s.SetOption(option, 1); errno != syscall.EACCES {
			t.Errorf("option %d can be set: %v", option, errno)
		}
	}
	for _, option := range []Option{options, 255} {
		if _, errno := s.Option(option); errno != syscall.ENOPROTOOPT {
			t.Errorf("option %d: %v", option, errno)
		}
	}
	if errno := s.SetOption(SendBuffer, 1<<40); errno != syscall.EINVAL {
		t.Errorf("a value of 41 bits: %v", errno)
	}
	ok(t, s.SetLinger(true, 3*time.Second))
	if on, wait, errno := s.Linger(); !on || wait != 3*time.Second || errno != 0 {
		t.Errorf("linger %v %v, %v", on, wait, errno)
	}
}

func TestListeners(t *testing.T) {
	n, _ := granted(t, "none", "none")
	rules, err := policy.ParseListen("tcp:0,udp:0,tcp:127.0.0.1:0,udp:[::1]:0,tcp:198.51.100.7:8080,unix:/run/x")
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := n.Listen(rules)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range listeners {
		names = append(names, l.Name)
		l.Close()
	}
	if got, want := strings.Join(names, " "), "tcp-0 udp-0 tcp-127.0.0.1-0 udp-__1-0 tcp-198.51.100.7-8080"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	taken := listening(t, free(), "127.0.0.1:0")
	rules, _ = policy.ParseListen("tcp:0,tcp:" + local(t, taken).AddrPort.String())
	if _, err := n.Listen(rules); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port in use: %v", err)
	}
	rules, _ = policy.ParseListen("tcp:10.0.0.0/8:80")
	if _, err := n.Listen(rules); err == nil || !strings.Contains(err.Error(), "range") {
		t.Errorf("a range: %v", err)
	}
}

func TestListenerTakesBothFamilies(t *testing.T) {
	n, _ := granted(t, "none", "none")
	rules, _ := policy.ParseListen("tcp:0")
	listeners, err := n.Listen(rules)
	if err != nil {
		t.Fatal(err)
	}
	l := listeners[0]
	defer l.Close()
	port := local(t, l.Socket).Port()
	for _, ip := range []string{"127.0.0.1", "::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(ip), port)
		family := IPv4
		if to.Addr().Is6() {
			family = IPv6
		}
		c := open(t, free(), family, stream)
		ok(t, c.Connect(Addr{AddrPort: to}))
		s, errno := l.Accept(0)
		ok(t, errno)
		s.Close()
	}
}

// A socket that is found open blocks until its flags are looked at or set.
func TestListenerFlags(t *testing.T) {
	n, _ := granted(t, "none", "none")
	rules, _ := policy.ParseListen("tcp:0,udp:0")
	listeners, err := n.Listen(rules)
	if err != nil {
		t.Fatal(err)
	}
	seen, set := listeners[0], listeners[1]
	defer seen.Close()
	defer set.Close()
	for range 2 {
		if seen.Flags() != descriptor.Nonblock {
			t.Error("not nonblocking when looked at")
		}
	}
	if _, errno := seen.Accept(0); errno != syscall.EAGAIN {
		t.Errorf("accept: %v", errno)
	}
	ok(t, set.SetFlags(0))
	if set.Flags() != 0 {
		t.Error("nonblocking after it was set to block")
	}
}

func TestStat(t *testing.T) {
	var st descriptor.Stat
	ok(t, open(t, free(), IPv4, datagram).Stat(&st))
	if st.Kind != datagram || st.Ino == 0 {
		t.Errorf("%+v", st)
	}
}

func TestTransfersDoNotAllocate(t *testing.T) {
	a, b := pair(t)
	n := free()
	c, d := open(t, n, IPv4, datagram), open(t, n, IPv4, datagram)
	ok(t, c.Bind(addr("127.0.0.1:0")))
	ok(t, d.Bind(addr("127.0.0.1:0")))
	to := local(t, d)
	out, in := vec("hello"), room(10)
	for name, f := range map[string]func(){
		"stream":   func() { a.Writev(out); b.Readv(in) },
		"datagram": func() { c.SendTo(out, to); d.RecvFrom(in, 0) },
		"names":    func() { a.LocalAddr(); a.PeerAddr() },
		"poll":     func() { poll.One(a.PollFD(), poll.Out, 0) },
		"option":   func() { a.Option(Error); a.SetOption(NoDelay, 1) },
	} {
		if allocs := testing.AllocsPerRun(100, f); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	x, y := pair(b)
	out, in := room(64), room(64)
	b.ReportAllocs()
	for b.Loop() {
		x.Writev(out)
		y.Readv(in)
	}
}

// BenchmarkPollSockets is one system call for a hundred sockets.
func BenchmarkPollSockets(b *testing.B) {
	n := free()
	var p poll.Poller
	var sockets []*Socket
	for range 100 {
		s := open(b, n, IPv4, datagram)
		sockets = append(sockets, s)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		for _, s := range sockets {
			p.Add(s.PollFD(), poll.In|poll.Out)
		}
		if ready, errno := p.Wait(0); ready != len(sockets) || errno != 0 {
			b.Fatal(ready, errno)
		}
	}
}
