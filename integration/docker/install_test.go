// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestInstall types the three commands of docs/docker.md: what make installs is
// what runs the container. The folder on containerd's PATH is the one installed
// into, for the time of the test; no daemon is started anew.
func TestInstall(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	made(t, root, "build")
	made(t, root, "install", "DESTDIR="+target)
	installed := filepath.Join(target, "usr/local/bin", harness.ShimBinary)
	bind(t, filepath.Dir(installed), filepath.Dir(harness.Shim()))

	run := []string{"--runtime", engine.Runtime, "--platform", "wasi/wasm", engine.Box}
	e.Docker(t, append([]string{"run", "--rm"}, append(run, "echo", "hi")...)...).Is(0, "hi\n")
	id := e.Ask(t, append([]string{"run", "-d"}, append(run, "sleep", "1000000")...)...)
	var shims int
	for _, shim := range harness.ShimProcesses() {
		if !strings.HasPrefix(shim.ID, id) {
			continue
		}
		shims++
		if !sameFile(t, installed, filepath.Join("/proc", strconv.Itoa(shim.Pid), "exe")) {
			t.Error("the container's shim is not the program that make installed")
		}
	}
	if shims != 1 {
		t.Errorf("the container has %d shims", shims)
	}
}

// made runs make in the repository's folder.
func made(t *testing.T, root string, args ...string) {
	t.Helper()
	cmd := exec.Command("make", append([]string{"-C", root}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %v: %v\n%s", args, err, out)
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(one, other)
}
