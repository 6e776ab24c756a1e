// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/config"
)

// accepting is a module that imports sock_accept alone.
const accepting = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" +
	"\x02\x26\x01\x16wasi_snapshot_preview1\x0bsock_accept\x00\x00"

// TestPorts: containerd is asked before the answer is waited for where the module
// is one that accepts, and never without a need.
func TestPorts(t *testing.T) {
	address := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*net.UnixListener).SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s := &service{address: address, namespace: "ns"}
	c := &config.Container{ID: "c1"}
	s.ports(t.Context(), c, func() []byte {
		t.Error("the module was read of a container that opens no exposed ports")
		return nil
	})
	c.Process.Network.Exposed = true
	s.ports(t.Context(), c, func() []byte { return []byte("\x00asm\x01\x00\x00\x00") })

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answer := s.ports(ctx, c, func() []byte { return []byte(accepting) })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal("containerd was not asked: ", err)
	}
	defer conn.Close()
	cancel()
	if _, err := answer(t.Context()); err == nil {
		t.Error("an answer came of a question that was given up")
	}
	if err := l.(*net.UnixListener).SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("containerd was asked without need, or twice")
	}
}
