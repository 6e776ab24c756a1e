// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
)

// TestModuleSizeLimit: a module over the limit is refused by its size alone, of
// the node's settings or the default. Nobody could read this one in time.
func TestModuleSizeLimit(t *testing.T) {
	node, dir := harness.Shared(t), scratch(t)
	mount(t, dir, "mode=755")
	sparse := put(t, dir+"/huge.wasm", "\x00asm\x01\x00\x00\x00", 0o755)
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	huge := func() *harness.Container {
		return node.Container(t, harness.Guests, "/data/huge.wasm").Bind(dir, "/data", "ro")
	}
	sentence(t, huge().Refused("huge.wasm", "268435456"))
	sentence(t, huge().Options(configured(t, "[module]\nmax_size = \"1MiB\"\n")).Refused("huge.wasm", "1048576"))
	task := node.Guest(t, "box", "wait").Bind(dir, "/data", "ro").Interactive().Start()
	sentence(t, task.ExecArgs("/data/huge.wasm").Refused("huge.wasm", "268435456"))
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
}

// TestOutOfMemory: under one limit a guest that checks memory.grow survives,
// and one that fills a tmpfs is killed by the kernel, which all are told.
func TestOutOfMemory(t *testing.T) {
	node := harness.Shared(t)
	events := node.Events(t)
	const limit = 64 << 20
	guest := func(args ...string) *harness.Task {
		return node.Guest(t, "box", args...).Memory(limit).
			Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/t"}).Start()
	}
	alive := guest("grow", "1000", ",", "echo", "alive")
	if r := alive.Wait().Exits(0).Prints("refused at ", "alive\n"); strings.Contains(r.Stdout, "grew 1000 MB") {
		t.Errorf("stdout %q", r.Stdout)
	}
	alive.Delete()
	events.Expect(alive.ID, "create", "start", "exit 0", "delete")

	killed := guest("fill", "/t/big", "200", ",", "echo", "alive")
	killed.Wait().Is(137, "")
	killed.Delete()
	harness.Eventually(t, "the delete is known", func() bool { return slices.Contains(events.Of(killed.ID), "delete") })
	if got := events.Of(killed.ID); !slices.Contains(got, "oom") || !slices.Contains(got, "exit 137") {
		t.Errorf("events %q", got)
	}
}

// TestSmallestLimits has what docs/kubernetes.md says of the least that a module
// begins with, and of a limit that leaves a guest nothing.
func TestSmallestLimits(t *testing.T) {
	node := harness.Shared(t)
	for guest, kib := range map[string]uint64{"hello-c": 5632, "hello-rust": 6656, "hello-go": 8192} {
		node.Guest(t, guest).Memory(kib << 10).Run().Exits(0)
		sentence(t, node.Guest(t, guest).Memory(5<<20).Refused("a memory limit of 5120 KiB is too little"))
	}
}

// TestPidsLimit: where an exec's threads do not fit, it says so and what to do,
// and the container goes on.
func TestPidsLimit(t *testing.T) {
	node := harness.Shared(t)
	pids := func(limit int64) func(*specs.Spec) {
		return func(s *specs.Spec) {
			if s.Linux.Resources == nil {
				s.Linux.Resources = &specs.LinuxResources{}
			}
			s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &limit}
		}
	}
	task := node.Guest(t, "box", "answer").Spec(pids(8)).Interactive().Start()
	sentence(t, task.Exec("box", "echo", "hi").Refused("pids limit 8 is too small for", "at least"))
	task.Type("still\n")
	task.Expect("got still")
	enough := int64(64)
	task.Update(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &enough}})
	task.Exec("box", "echo", "hi").Run().Is(0, "hi\n")
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
}
