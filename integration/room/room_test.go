// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package room

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	os.Exit(Run(func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "prepared"), nil, 0o644)
	}, m.Run))
}

func TestRoomIsItsOwnMachine(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Dir(), "prepared")); err != nil {
		t.Error(err)
	}
	for _, folder := range []string{"/run", "/var/lib"} {
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) != 0 {
			t.Errorf("%s: %v, %v; want an empty folder", folder, entries, err)
		}
	}
	if err := os.Mkdir("/etc/of-the-room", 0o755); err != nil {
		t.Error(err)
	}
	if hosts, err := os.ReadFile("/etc/hosts"); err != nil || !strings.Contains(string(hosts), "localhost") {
		t.Errorf("/etc/hosts is %q, %v", hosts, err)
	}
	links, err := exec.Command("ip", "-o", "link").Output()
	if err != nil || strings.Count(string(links), "\n") != 2 {
		t.Errorf("links %s, %v; want lo and node0", links, err)
	}
	if cmdline, err := os.ReadFile("/proc/1/cmdline"); err != nil || !strings.Contains(string(cmdline), ".test") {
		t.Errorf("process 1 is %q, %v; want the room's init", cmdline, err)
	}
	if entries, err := os.ReadDir("/sys/fs/cgroup"); err != nil || len(entries) == 0 {
		t.Errorf("cgroups: %v, %v", entries, err)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	out, err := exec.Command("sh", "-c", "(sleep 0.05 & echo $!)").Output()
	if err != nil {
		t.Fatal(err)
	}
	proc := filepath.Join("/proc", strings.TrimSpace(string(out)))
	for i := 0; ; i++ {
		if _, err := os.Stat(proc); os.IsNotExist(err) {
			return
		}
		if i == 100 {
			t.Fatal("an orphan was not reaped within two seconds")
		}
		exec.Command("sleep", "0.02").Run()
	}
}
