// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestStats: docker's figures are within a tenth of the kernel's.
func TestStats(t *testing.T) {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		t.Skip("reads cgroup v1")
	}
	e := engine.Shared(t)
	e.LoadAll(t)
	name := box(t, e, "stats", "wasm", "-m 256m", "swallow", "50", ",", "spin")
	o := observed{t, pid(t, e, name)}
	number := func(controller, file, line string) float64 {
		text := o.read(filepath.Join("/sys/fs/cgroup", controller, o.group(controller), file))
		for l := range strings.SplitSeq(text, "\n") {
			if rest, is := strings.CutPrefix(l, line); is {
				n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		t.Fatalf("no %q in %s", line, file)
		return 0
	}
	var last string
	if !harness.Soon(harness.Patience, func() bool {
		usage, begin := number("cpuacct", "cpuacct.usage", ""), time.Now()
		fields := strings.Fields(e.Ask(t, "stats", "--no-stream", "--format", "{{.MemUsage}} {{.CPUPerc}} {{.PIDs}}", name))
		share := (number("cpuacct", "cpuacct.usage", "") - usage) / float64(time.Since(begin)) * 100
		memory := number("memory", "memory.usage_in_bytes", "") - number("memory", "memory.stat", "total_inactive_file ")
		said, err := strconv.ParseFloat(strings.TrimSuffix(fields[0], "MiB"), 64)
		if err != nil {
			t.Fatal(err)
		}
		saidShare, err := strconv.ParseFloat(strings.TrimSuffix(fields[3], "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		pids := number("pids", "pids.current", "")
		last = fmt.Sprintf("docker says %v; the kernel: %.0f bytes, %.1f %%, %v pids", fields, memory, share, pids)
		return memory > 50<<20 && near(said*(1<<20), memory) && near(saidShare, share) && fields[4] == fmt.Sprint(pids)
	}) {
		t.Error(last)
	}
	e.Docker(t, "rm", "-f", name).Exits(0)
}

func near(a, b float64) bool { return a > 0.9*b && a < 1.1*b }
