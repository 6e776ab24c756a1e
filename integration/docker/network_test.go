// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// echo sends a text to an echoing service and wants it back.
func echo(network, address, text string) error {
	c, err := net.DialTimeout(network, address, harness.Patience)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(harness.Patience))
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("sent %q, got %q", text, got)
	}
	return nil
}

// TestPublishedPort asks box, which accepts on the socket that it finds open,
// through a published port from many clients at once: on the loopback, which
// docker-proxy serves, and from another machine, whose packets the kernel
// translates.
func TestPublishedPort(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	e.Docker(t, "run", "-d", "--name", "server", "--runtime", engine.Runtime, "--platform", "wasi/wasm",
		"-p", "18090:80", "--annotation", Annotation+"listen=tcp:80", engine.Box, "serve").Exits(0)
	host, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	storm(t, host, "127.0.0.1:18090")
	if err := echo("tcp", "[::1]:18090", "over IPv6"); err != nil {
		t.Errorf("over IPv6: %v", err)
	}
	if n := translated(t, 18090); n != 0 {
		t.Errorf("%d connections of the loopback were translated", n)
	}
	storm(t, neighbour(t), room.Bridge+":18090")
	if n := translated(t, 18090); n != stormy {
		t.Errorf("%d connections from outside were translated, want %d", n, stormy)
	}
	e.Docker(t, "stop", "server").Exits(0)
	if err := echo("tcp", "127.0.0.1:18090", "x"); err == nil {
		t.Error("a stopped container answers")
	}
}

// stormy is how many requests a storm is, each with a connection of its own.
const stormy = 10000

// storm sends the requests from a network namespace, by many clients at once.
func storm(t *testing.T, from *os.File, address string) {
	t.Helper()
	const clients = 100
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			// The thread is not unlocked and ends with the client.
			runtime.LockOSThread()
			if err := unix.Setns(int(from.Fd()), unix.CLONE_NEWNET); err != nil {
				t.Error(err)
				return
			}
			for i := range stormy / clients {
				if err := echo("tcp", address, fmt.Sprintf("request %d of %d", i, client)); err != nil {
					t.Errorf("%s, client %d: %v", address, client, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// neighbour is the network namespace of a machine beside the room's node, on
// its bridge.
func neighbour(t *testing.T) *os.File {
	t.Helper()
	var namespace *os.File
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // as in storm
		var err error
		namespace, err = wired()
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { namespace.Close() }) // the last of it: both ends of the wire go
	return namespace
}

// wired gives the calling thread a network namespace of its own, with a wire to
// the room's bridge.
func wired() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	for _, line := range []string{
		fmt.Sprintf("nsenter -t 1 -n ip link add beside0 type veth peer name eth0 netns %d", unix.Gettid()),
		"nsenter -t 1 -n ip link set beside0 master node0 up",
		"ip addr add 192.168.99.50/24 dev eth0", // the network of room.Bridge
		"ip link set eth0 up",
	} {
		if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return os.Open("/proc/thread-self/ns/net")
}

// translated is how many connections the kernel has translated to a published
// port's container.
func translated(t *testing.T, port int) int {
	t.Helper()
	out, err := exec.Command("iptables", "-t", "nat", "-nvxL", "DOCKER").CombinedOutput()
	if err != nil {
		t.Fatalf("iptables: %v: %s", err, out)
	}
	rule := regexp.MustCompile(fmt.Sprintf(`(?m)^\s*(\d+).* DNAT .*dpt:%d `, port)).FindSubmatch(out)
	if rule == nil {
		t.Fatalf("no rule for port %d:\n%s", port, out)
	}
	count, err := strconv.Atoi(string(rule[1]))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// Annotation begins the annotations of the shim.
const Annotation = engine.Runtime + "/"
