// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	v2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/typeurl/v2"
)

// Stats are the figures of a container that both cgroup versions have.
type Stats struct {
	Version int // of the cgroups
	CPU     time.Duration
	Memory  uint64 // bytes in use
	Limit   uint64 // of memory, bytes
	Pids    uint64
	IO      int // entries of block I/O
}

// Stats asks for the container's figures.
func (t *Task) Stats() Stats {
	t.t.Helper()
	return ReadStats(t.t, t.what, t.Metrics().Data)
}

// ReadStats reads figures as the task and the sandbox API have them.
func ReadStats(t testing.TB, what string, data typeurl.Any) Stats {
	t.Helper()
	metrics, err := typeurl.UnmarshalAny(data)
	if err != nil {
		t.Fatalf("stats of %s: %v", what, err)
	}
	switch m := metrics.(type) {
	case *v1.Metrics:
		// dockerd takes these to be there.
		if m.GetCPU().GetUsage() == nil || m.GetCPU().GetThrottling() == nil {
			t.Errorf("stats of %s: CPU is %v, want usage and throttling", what, m.GetCPU())
		}
		return Stats{
			Version: 1, CPU: time.Duration(m.GetCPU().GetUsage().GetTotal()),
			Memory: m.GetMemory().GetUsage().GetUsage(), Limit: m.GetMemory().GetUsage().GetLimit(),
			Pids: m.GetPids().GetCurrent(), IO: len(m.GetBlkio().GetIoServiceBytesRecursive()),
		}
	case *v2.Metrics:
		return Stats{
			Version: 2, CPU: time.Duration(m.GetCPU().GetUsageUsec()) * time.Microsecond,
			Memory: m.GetMemory().GetUsage(), Limit: m.GetMemory().GetUsageLimit(),
			Pids: m.GetPids().GetCurrent(), IO: len(m.GetIo().GetUsage()),
		}
	}
	t.Fatalf("stats of %s are a %T", what, metrics)
	return Stats{}
}

// EachPss calls do for every process of the room with its program and its
// proportional set size in kB.
func EachPss(t testing.TB, do func(pid int, program string, kB float64)) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // gone meanwhile
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		program, _, _ := strings.Cut(string(cmdline), "\x00")
		for line := range strings.Lines(string(rollup)) {
			var kB float64
			if n, _ := fmt.Sscanf(line, "Pss: %f kB", &kB); n == 1 {
				do(pid, program, kB)
			}
		}
	}
}
