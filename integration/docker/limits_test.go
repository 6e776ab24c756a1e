// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"slices"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
)

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
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		t.Skip("the machine's cgroups are of version 2")
	}
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
