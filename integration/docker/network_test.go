// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
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
// through a published port, over IPv4 and from many clients at once.
func TestPublishedPort(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	e.Docker(t, "run", "-d", "--name", "server", "--runtime", engine.Runtime, "--platform", "wasi/wasm",
		"-p", "18090:80", "--annotation", Annotation+"listen=tcp:80", engine.Box, "serve").Exits(0)
	const clients, requests = 100, 10000
	var lost atomic.Int64
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := range requests / clients {
				if err := echo("tcp", "127.0.0.1:18090", fmt.Sprintf("request %d of %d", i, client)); err != nil {
					lost.Add(1)
					t.Errorf("client %d: %v", client, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if lost.Load() > 0 {
		t.Errorf("%d clients lost a request", lost.Load())
	}
	if err := echo("tcp", "[::1]:18090", "over IPv6"); err != nil {
		t.Errorf("over IPv6: %v", err)
	}
	e.Docker(t, "stop", "server").Exits(0)
	if err := echo("tcp", "127.0.0.1:18090", "x"); err == nil {
		t.Error("a stopped container answers")
	}
}

// Annotation begins the annotations of the shim.
const Annotation = engine.Runtime + "/"
