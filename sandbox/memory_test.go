// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

func (b *box) limitMemory(bytes int64) {
	b.config.Cgroup.Resources.Memory = &specs.LinuxMemory{Limit: &bytes}
}

// TestMemoryRefused: a guest that checks what memory.grow answers survives, and
// the kernel has nothing to kill.
func TestMemoryRefused(t *testing.T) {
	b := newBox(t, "grow", "1000", ",", "echo", "alive")
	b.limitMemory(32 << 20)
	status, out := b.run()
	if status != 0 || !strings.HasSuffix(out, "alive\n") || b.OOMKilled() {
		t.Errorf("status %d, stdout %q, OOM killed %v, stderr %q, log %s", status, out, b.OOMKilled(), b.stderr.all(t), b.log)
	}
}

// TestMemoryFilled: all that is granted can be touched.
func TestMemoryFilled(t *testing.T) {
	b := newBox(t, "swallow", "1000")
	b.limitMemory(32 << 20)
	status, out := b.run()
	if b.OOMKilled() || status == 137 {
		t.Errorf("status %d, stdout %q, OOM killed %v", status, out, b.OOMKilled())
	}
}

func TestOOMKilled(t *testing.T) {
	b := newBox(t, "fill", "/run/big", "100")
	b.limitMemory(32 << 20)
	b.config.Mounts = []config.Mount{{Type: "tmpfs", Source: "tmpfs", Destination: "/run"}}
	if status, _ := b.run(); status != 137 || !b.OOMKilled() {
		t.Errorf("status %d, OOM killed %v", status, b.OOMKilled())
	}
	must(t, b.Delete(testContext(t)))
	if !b.OOMKilled() {
		t.Error("it is forgotten after Delete")
	}
}

func TestUpdateMemory(t *testing.T) {
	b := newBox(t, "wait", ",", "grow", "1000", ",", "exit", "5")
	b.limitMemory(32 << 20)
	b.create()
	limit := int64(64 << 20)
	must(t, b.Update(testContext(t), &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}))
	must(t, b.init.Start(testContext(t)))
	if status := wait(t, b.init); status != 5 {
		t.Errorf("status %d", status)
	}
	out := b.stdout.all(t)
	b2 := newBox(t, "grow", "1000", ",", "exit", "5")
	b2.limitMemory(32 << 20)
	if _, less := b2.run(); less == out {
		t.Errorf("with 32 and 64 MB the guest gets the same: %q", out)
	}
}

func TestRlimitAddressSpace(t *testing.T) {
	b := newBox(t, "grow", "1000", ",", "exit", "5")
	b.config.Process.Rlimits = []config.Rlimit{{Type: unix.RLIMIT_AS, Soft: 16 << 20, Hard: 16 << 20}}
	status, out := b.run()
	if status != 5 {
		t.Errorf("status %d: %s", status, b.stderr.all(t))
	}
	free := newBox(t, "grow", "100", ",", "exit", "5")
	if _, more := free.run(); more == out {
		t.Errorf("with and without RLIMIT_AS the guest gets the same: %q", out)
	}
}

func TestStats(t *testing.T) {
	b := newBox(t, "spin").start()
	m, err := b.Stats(testContext(t))
	if err != nil || m == nil {
		t.Fatal(err)
	}
	must(t, b.KillAll(testContext(t)))
	wait(t, b.init)
	if m, err = b.Stats(testContext(t)); err != nil || m == nil {
		t.Errorf("after the exit: %v", err)
	}
}
