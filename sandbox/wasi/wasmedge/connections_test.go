// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"fmt"
	stdnet "net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGoManyConnections holds connections open in one guest, with an echo on
// each while all are open: 500, or 10,000 in a full test. The guest is a process
// of its own, so either side has the limit of open files to itself.
func TestGoManyConnections(t *testing.T) {
	connections := 500
	if os.Getenv("TEST_FULL") != "" {
		connections = 10_000
	}
	allowFiles(t, connections+200)
	p := start(t, gonet(t, "tcp-echo", "127.0.0.1:0"))
	addr := p.line(t)
	empty := p.memory(t)
	conns := make([]stdnet.Conn, connections)
	for i := range conns {
		c, err := stdnet.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		conns[i] = c
		// With an echo each is accepted: else they might be more than the backlog.
		send(t, c, i)
		receive(t, c, i)
	}
	idle := p.memory(t)
	begin := time.Now()
	for i, c := range conns {
		send(t, c, i)
	}
	for i, c := range conns {
		receive(t, c, i)
	}
	took := time.Since(begin)
	t.Logf("%d connections: an echo on each in %v; memory %d kB idle, %d kB after the echoes, %d kB without: %.1f kB a connection",
		connections, took, idle, p.memory(t), empty, float64(idle-empty)/float64(connections))
}

// allowFiles raises the limit of open files, of this process and of those that
// it starts, as far as n needs and the hard limit lets it.
func allowFiles(t testing.TB, n int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= uint64(n) {
		return
	}
	if limit.Max < uint64(n) {
		t.Fatalf("%d open files are needed, the hard limit is %d", n, limit.Max)
	}
	limit.Cur = uint64(n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

func send(t testing.TB, c stdnet.Conn, i int) {
	t.Helper()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(c, "connection %d\n", i); err != nil {
		t.Fatalf("connection %d: %v", i, err)
	}
}

func receive(t testing.TB, c stdnet.Conn, i int) {
	t.Helper()
	var got int
	if _, err := fmt.Fscanf(c, "connection %d\n", &got); err != nil || got != i {
		t.Fatalf("connection %d: %d, %v", i, got, err)
	}
}
