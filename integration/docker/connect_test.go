// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// gonet loads the image of the guest with sockets.
func gonet(t *testing.T, e *engine.Engine) string {
	t.Helper()
	guest, err := image.Copy("gonet.wasm", harness.Built(t, "guests-net", "gonet.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	e.Load(t, image.Image{Name: "docker.io/library/gonet:latest", Files: append(harness.BaseFiles(), guest),
		Config: v1.ImageConfig{Entrypoint: []string{"/gonet.wasm"}}})
	return "gonet"
}

// wasm is docker run of the guest with sockets; options end where its name is.
func wasm(t *testing.T, e *engine.Engine, options string, args ...string) *harness.Result {
	t.Helper()
	all := append([]string{"run", "--runtime", engine.Runtime, "--platform", "wasi/wasm"}, strings.Fields(options)...)
	return e.Docker(t, append(append(all, gonet(t, e)), args...)...)
}

// TestHostNetwork needs grants: nothing is free in the host's own namespace.
func TestHostNetwork(t *testing.T) {
	e := engine.Shared(t)
	wasm(t, e, "--rm --network host", "tcp-echo", "127.0.0.1:18191").Exits(1)
	wasm(t, e, "-d --network host --annotation "+Annotation+"listen=tcp:127.0.0.1:18191",
		"tcp-echo", "127.0.0.1:18191").Exits(0)
	harness.Eventually(t, "the guest answers on the host", func() bool {
		return echo("tcp", "127.0.0.1:18191", "on the host") == nil
	})
	wasm(t, e, "--rm --network host", "tcp-send", "127.0.0.1:18191", "x").Exits(1)
	wasm(t, e, "--rm --network host --annotation "+Annotation+"connect=127.0.0.1/32:18191",
		"tcp-send", "127.0.0.1:18191", "to the host").Is(0, "to the host")
}

// TestPublishedUDP sends datagrams through a published port.
func TestPublishedUDP(t *testing.T) {
	e := engine.Shared(t)
	id := strings.TrimSpace(wasm(t, e, "-d -p 18053:5353/udp", "udp-echo", "0.0.0.0:5353").Exits(0).Stdout)
	harness.Eventually(t, "the guest listens", func() bool { return e.Ask(t, "logs", id) != "" })
	for _, text := range []string{"a", strings.Repeat("datagram ", 100)} {
		if err := echo("udp", "127.0.0.1:18053", text); err != nil {
			t.Error(err)
		}
	}
}
