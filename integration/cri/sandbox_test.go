// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/runtime/sandbox/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"

	"containerd-shim-wazero/integration/harness"
)

// TestSandboxService asks for what CRI does not of a pod that the shim has made:
// whether its shim answers, and the figures of its pause container.
func TestSandboxService(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion, harness.WithCRI(), harness.WithSandboxer("shim"))
	node.ImportCRI(t, harness.PauseImage(), harness.GuestsImage(t))
	p := newPod(t, node).run()
	p.start("app", "spin") // whose figures are not the pause container's
	t.Run("ping", func(t *testing.T) { ping(t, p) })
	t.Run("metrics", func(t *testing.T) { metrics(t, p) })
}

// ping goes to the shim's own socket: no containerd has a call that leads to it.
func ping(t *testing.T, p *pod) {
	shims := harness.ShimProcesses()
	i := slices.IndexFunc(shims, func(s harness.ShimProcess) bool { return s.ID == p.ID })
	if i < 0 {
		t.Fatalf("no shim of %s among %v", p.ID, shims)
	}
	conn, err := net.Dial("unix", shims[i].Socket)
	if err != nil {
		t.Fatal(err)
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if _, err := sandbox.NewTTRPCSandboxClient(client).PingSandbox(ctx, &sandbox.PingRequest{SandboxID: p.ID}); err != nil {
		t.Error(err)
	}
}

// metrics are those of the pause container's cgroup, as the kernel has them.
func metrics(t *testing.T, p *pod) {
	controller := p.node.Client.SandboxController("shim")
	pause := p.inspect().Info.Pid
	before := processor(t, pause)
	metric, err := controller.Metrics(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	after := processor(t, pause)
	if metric.ID != p.ID || metric.Timestamp == nil {
		t.Errorf("the metric is of %q at %v", metric.ID, metric.Timestamp)
	}
	stats := harness.ReadStats(t, "the pause container", metric.Data)
	if stats.CPU == 0 || stats.CPU < before || stats.CPU > after {
		t.Errorf("%s of a processor; its cgroup had %s before and %s after", stats.CPU, before, after)
	}
	dir, _ := cgroup(t, pause, "pids")
	if tasks := number(t, filepath.Join(dir, "pids.current"), ""); stats.Pids != tasks {
		t.Errorf("%d tasks, and its cgroup has %d", stats.Pids, tasks)
	}
	if stats.Memory == 0 || stats.Memory > 24<<20 {
		t.Errorf("%d bytes of memory, more than a pause container and its shim hold", stats.Memory)
	}
	if _, err := controller.Metrics(t.Context(), "absent"); !errdefs.IsNotFound(err) {
		t.Errorf("of a sandbox that is not there: %v", err)
	}
}

// processor is the time that a process's cgroup has had, in what the kernel tells.
func processor(t *testing.T, pid int) time.Duration {
	t.Helper()
	dir, unified := cgroup(t, pid, "cpuacct")
	if unified {
		return time.Duration(number(t, filepath.Join(dir, "cpu.stat"), "usage_usec")) * time.Microsecond
	}
	return time.Duration(number(t, filepath.Join(dir, "cpuacct.usage"), ""))
}

// number is a file's, or that after a word in it.
func number(t *testing.T, file, after string) uint64 {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), after)
	n, err := strconv.ParseUint(strings.Fields(text)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
