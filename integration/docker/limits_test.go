// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/room"
)

// updates are the effects of docker update on a container that runs.
var updates = []effect{
	{"-m 128m --memory-swap 256m", "memory", cgroup("memory", "memory.limit_in_bytes", "memory.max"), "134217728"},
	{"-m 128m --memory-swap 256m", "memory and swap", cgroup("memory", "memory.memsw.limit_in_bytes", ""), "268435456"},
	{"--memory-reservation 32m", "memory reservation", cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432"},
	{"--cpus 0.5", "processor time", cgroup("cpu", "cpu.cfs_quota_us", ""), "50000"},
	{"--cpu-period 50000 --cpu-quota 10000", "period", cgroup("cpu", "cpu.cfs_period_us", ""), "50000"},
	{"--cpu-shares 512", "shares", cgroup("cpu", "cpu.shares", ""), "512"},
	{"--cpuset-cpus 0", "processors", cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0"},
	{"--pids-limit 50", "pids", cgroup("pids", "pids.max", "pids.max"), "50"},
}

// TestUpdate: what docker update says reaches the kernel, on both runtimes.
func TestUpdate(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	for _, kind := range []string{"wasm", "linux"} {
		for _, update := range updates {
			t.Run(kind+" "+update.what, func(t *testing.T) {
				name := box(t, e, "update", kind, "-m 64m", "sleep", "600000")
				o := observed{t, pid(t, e, name)}
				defer e.Docker(t, "rm", "-f", name)
				before := update.see(o)
				e.Docker(t, append(append([]string{"update"}, strings.Fields(update.options)...), name)...).Exits(0)
				if got := update.see(o); got != update.want || before == update.want {
					t.Errorf("docker update %s: %q, then %q, want %q", update.options, before, got, update.want)
				}
			})
		}
	}
}

// line is the one that a file has, or what it has instead.
func line(see func(observed) string, want string) func(observed) string {
	return func(o observed) string {
		text := see(o)
		if slices.Contains(strings.Split(text, "\n"), want) {
			return want
		}
		return text
	}
}

// onlyV1 skips where the kernel has the one hierarchy, in which a limit's file
// is another or none.
func onlyV1(t *testing.T) {
	t.Helper()
	if unified() {
		t.Skip("the machine's cgroups are of version 2")
	}
}

// unified says that the machine's cgroups are of version 2.
func unified() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// TestDevices: a rule for devices is in the container's own list.
func TestDevices(t *testing.T) {
	onlyV1(t) // version 2 has a program of the kernel's in the place of a list
	e := engine.Shared(t)
	e.LoadAll(t)
	for kind, run := range runtimes {
		args := slices.Concat([]string{"run", "-d", "--name", "rule", "--device-cgroup-rule", "c 13:63 r"}, run, []string{"sleep", "600000"})
		e.Docker(t, args...).Exits(0)
		see := line(cgroup("devices", "devices.list", ""), "c 13:63 r")
		if got := see(observed{t, pid(t, e, "rule")}); got != "c 13:63 r" {
			t.Errorf("%s: the devices are %q", kind, got)
		}
		e.Docker(t, "rm", "-f", "rule").Exits(0)
	}
}

// TestBlockLimits: the four limits of a block device. A weight is discarded by
// dockerd where the kernel has not the file that it looks for.
func TestBlockLimits(t *testing.T) {
	onlyV1(t)
	e := engine.Shared(t)
	e.LoadAll(t)
	device, number := blockDevice(t)
	options := strings.ReplaceAll("--device-read-bps DEV:1mb --device-write-bps DEV:2mb --device-read-iops DEV:9 --device-write-iops DEV:8", "DEV", device)
	for _, kind := range []string{"wasm", "linux"} {
		name := box(t, e, "block", kind, options, "sleep", "600000")
		o := observed{t, pid(t, e, name)}
		for file, limit := range map[string]string{"read_bps": "1048576", "write_bps": "2097152", "read_iops": "9", "write_iops": "8"} {
			if got := cgroup("blkio", "blkio.throttle."+file+"_device", "")(o); got != number+" "+limit {
				t.Errorf("%s, %s: %q, want %s %s", kind, file, got, number, limit)
			}
		}
		e.Docker(t, "rm", "-f", name).Exits(0)
	}
}

// blockDevice is one of the machine's, and its numbers.
func blockDevice(t *testing.T) (path, number string) {
	t.Helper()
	known, err := filepath.Glob("/sys/block/*/dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range known {
		path = filepath.Join("/dev", filepath.Base(filepath.Dir(file)))
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeDevice != 0 {
			return path, observed{t: t}.read(file)
		}
	}
	t.Skip("the machine has no block device")
	return "", ""
}

// TestRealtime: realtime is given out of what the parent has, which is nothing
// unless somebody gives it some.
func TestRealtime(t *testing.T) {
	onlyV1(t)
	e := engine.Shared(t)
	e.LoadAll(t)
	parent := "/" + room.Name() + "-realtime"
	dir := filepath.Join("/sys/fs/cgroup/cpu", parent)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cpu.rt_runtime_us"), []byte("5000"), 0o644); err != nil {
		t.Skip("the kernel gives no group realtime: ", err)
	}
	for _, kind := range []string{"wasm", "linux"} {
		name := box(t, e, "realtime", kind, "--cpu-rt-runtime 1000 --cgroup-parent "+parent, "sleep", "600000")
		if got := cgroup("cpu", "cpu.rt_runtime_us", "")(observed{t, pid(t, e, name)}); got != "1000" {
			t.Errorf("%s: realtime of %s µs, want 1000", kind, got)
		}
		e.Docker(t, "rm", "-f", name).Exits(0)
	}
}
