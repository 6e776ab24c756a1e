// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"io"
	stdnet "net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

// preopened gives a guest one listening socket, and its address.
func preopened(t testing.TB, h host, hosts string) (host, string) {
	t.Helper()
	addr := freePort(t)
	rules, err := policy.ParseListen("tcp:" + addr)
	if err != nil {
		t.Fatal(err)
	}
	h.Preopen, h.Grants, h.Root = rules, policy.Grants{}, containerRoot(t, hosts)
	return h, addr
}

const preopenedHosts = "127.0.0.1 localhost\n"

func TestPreopenedGo(t *testing.T) {
	h, addr := preopened(t, host{Wasm: build(t, "preopened", "none"), Args: []string{"preopened"}}, preopenedHosts)
	p := start(t, h)
	if line := p.line(t); line != "1 tcp-"+strings.ReplaceAll(addr, ":", "-") {
		t.Errorf("LISTEN_FDS, LISTEN_FDNAMES: %s", line)
	}
	if text := get(t, "http://"+addr+"/file"); text != preopenedHosts {
		t.Errorf("file %q", text)
	}
	load(t, "http://"+addr+"/hello", 10_000, 100)
}

func TestPreopenedRust(t *testing.T) {
	h, addr := preopened(t, rust(t, "preopened"), preopenedHosts)
	p := start(t, h)
	p.line(t)
	for range 3 {
		fetchFile(t, addr)
	}
}

func TestPreopenedC(t *testing.T) {
	wasm := filepath.Join(outputDir(t), "preopened-c.wasm")
	cmd := exec.Command("clang", "--target=wasm32-wasi", "--sysroot=/usr", "-std=gnu11", "-Wall", "-Werror", "-O2", "-s",
		filepath.Join(guestDir, "preopened/preopened.c"), "-o", wasm)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h, addr := preopened(t, host{Wasm: wasm, Args: []string{"preopened"}}, preopenedHosts)
	p := start(t, h)
	p.line(t)
	for range 3 {
		fetchFile(t, addr)
	}
}

// fetchFile reads what a server answers each connection with.
func fetchFile(t testing.TB, addr string) {
	t.Helper()
	c, err := stdnet.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := c.(*stdnet.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(c); err != nil || string(text) != preopenedHosts {
		t.Errorf("%q, %v", text, err)
	}
}
