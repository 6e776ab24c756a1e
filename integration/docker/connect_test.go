// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

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
	onBoth(t, func(t *testing.T, s sockets) {
		s.run("-d --name server -p 18053:5353/udp", "udp-echo", "0.0.0.0:5353").Exits(0)
		harness.Eventually(t, "the guest listens", func() bool { return s.Ask(t, "logs", "server") != "" })
		for _, text := range []string{"a", strings.Repeat("datagram ", 100)} {
			if err := echo("udp", "127.0.0.1:18053", text); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestNames has a Wasm and a Linux container on one network find each other by
// name, and one in the other's network namespace.
func TestNames(t *testing.T) {
	e := engine.Shared(t)
	e.Load(t, harness.BusyboxImage(t))
	e.Docker(t, "network", "create", "both").Exits(0)
	wasm(t, e, "-d --network both --name guest", "tcp-echo", "0.0.0.0:7000").Exits(0)
	harness.Eventually(t, "the guest listens", func() bool { return e.Ask(t, "logs", "guest") != "" })
	linux := func(network, script string) *harness.Result {
		return e.Docker(t, "run", "--rm", "--network", network, harness.Busybox, "sh", "-c", script)
	}
	// Debian's busybox cannot look a name up in nc itself.
	linux("both", "a=$(nslookup -type=a guest | sed -n 's/^Address: //p' | tail -n 1); "+
		"(echo by name; sleep 1) | timeout 10 nc $a 7000").Is(0, "by name\n")
	linux("container:guest", "(echo beside; sleep 1) | timeout 10 nc 127.0.0.1 7000").Is(0, "beside\n")

	e.Docker(t, "run", "-d", "--network", "both", "--name", "linux", harness.Busybox, "sh", "-c", "nc -ll -p 7001 -e sh -c cat").Exits(0)
	wasm(t, e, "--rm --network both", "tcp-send", "linux:7001", "back").Is(0, "back")
	wasm(t, e, "--rm --network container:linux", "tcp-send", "127.0.0.1:7001", "beside").Is(0, "beside")
	e.Docker(t, "rm", "-f", "guest", "linux").Exits(0)
	e.Docker(t, "network", "rm", "both").Exits(0)
}
