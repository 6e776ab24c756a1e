// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestConnect moves running containers between networks: a server becomes
// reachable by name, alias and address, and no longer when it is disconnected,
// and a running client sees the network that it was connected to.
func TestConnect(t *testing.T) { onBoth(t, connect) }

func connect(t *testing.T, e sockets) {
	e.Docker(t, "network", "create", "--subnet", "10.190.1.0/24", "front").Exits(0)
	e.Docker(t, "network", "create", "--subnet", "10.190.2.0/24", "back").Exits(0)
	e.listens("server", "--network front --ip 10.190.1.77 --network-alias www", "0.0.0.0:7000")
	// A name that the engine does not know is asked of a server that refuses at once.
	e.listens("client", "--network back --dns 127.0.0.1", "0.0.0.0:7000")
	send := func(to string) *harness.Result {
		return e.Docker(t, "exec", "client", "/gonet", "tcp-send", to+":7000", "to "+to)
	}
	unknown := func(names ...string) {
		t.Helper()
		for _, name := range names {
			send(name).Exits(1)
		}
	}

	e.run("--rm --network front", "tcp-send", "www:7000", "by alias").Is(0, "by alias")
	e.run("--rm --network front", "tcp-send", "10.190.1.77:7000", "by address").Is(0, "by address")
	unknown("server", "www")

	e.Docker(t, "network", "connect", "--alias", "api", "--ip", "10.190.2.88", "back", "server").Exits(0)
	for _, name := range []string{"server", "api", "10.190.2.88"} {
		send(name).Is(0, "to "+name)
	}
	unknown("www")
	e.Docker(t, "network", "disconnect", "back", "server").Exits(0)
	unknown("server", "api")

	e.Docker(t, "network", "connect", "front", "client").Exits(0)
	for _, name := range []string{"server", "www", "10.190.1.77"} {
		send(name).Is(0, "to "+name)
	}
	e.Docker(t, "network", "disconnect", "front", "client").Exits(0)
	unknown("server", "www")
}

// TestSeveralNetworks has one container on two networks from its start.
func TestSeveralNetworks(t *testing.T) { onBoth(t, severalNetworks) }

func severalNetworks(t *testing.T, e sockets) {
	for _, network := range []string{"left", "right"} {
		e.Docker(t, "network", "create", network).Exits(0)
	}
	e.listens("middle", "--network left --network right", "0.0.0.0:7000")
	for _, network := range []string{"left", "right"} {
		e.run("--rm --network "+network, "tcp-send", "middle:7000", network).Is(0, network)
	}
}

// TestPortRange publishes three ports of two containers by ranges.
func TestPortRange(t *testing.T) { onBoth(t, portRange) }

func portRange(t *testing.T, e sockets) {
	e.listens("first", "-p 18200-18202:7000-7002", "0.0.0.0:7001")
	e.listens("second", "-p 18200-18210:7000", "0.0.0.0:7000")
	if err := echo("tcp", "127.0.0.1:18201", "the second of a range"); err != nil {
		t.Error(err)
	}
	address := strings.Fields(e.Ask(t, "port", "second", "7000"))[0]
	if err := echo("tcp", strings.Replace(address, "0.0.0.0", "127.0.0.1", 1), "what is free of a range"); err != nil {
		t.Error(err)
	}
}

// TestIPv6 reaches a guest over IPv6 by a published port, by name and by
// address.
func TestIPv6(t *testing.T) { onBoth(t, overIPv6) }

func overIPv6(t *testing.T, e sockets) {
	e.Docker(t, "network", "create", "--ipv6", "--subnet", "fd00:190::/64", "six").Exits(0)
	e.listens("server6", "--network six --ip6 fd00:190::77 -p [::1]:18216:7000", "[::]:7000")
	if err := echo("tcp", "[::1]:18216", "published"); err != nil {
		t.Error(err)
	}
	for _, to := range []string{"server6", "[fd00:190::77]"} {
		e.run("--rm --network six", "tcp-send", to+":7000", "to "+to).Is(0, "to "+to)
	}
}

// TestExpose gives a module without sockets of its own the listening ones of
// its image's EXPOSE, which -P publishes.
func TestExpose(t *testing.T) {
	e := engine.Shared(t)
	img := engine.WasmBoxImage(t)
	img.Name = "docker.io/library/exposed:latest"
	img.Config.ExposedPorts = map[string]struct{}{"80/tcp": {}, "81/tcp": {}}
	img.Config.Cmd = []string{"serve", "4"}
	e.Load(t, img)
	e.Docker(t, "run", "-d", "-P", "--name", "exposed", "--runtime", engine.Runtime, "--platform", "wasi/wasm", "exposed").Exits(0)
	port := func(inside int) string {
		all := strings.Fields(e.Ask(t, "port", "exposed", fmt.Sprint(inside)))
		return "127.0.0.1:" + all[0][strings.LastIndex(all[0], ":")+1:]
	}
	if err := echo("tcp", port(81), "on the second exposed port"); err != nil {
		t.Error(err)
	}
}
