// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// TestOracle proves the harness itself with runc: what a helper says of the
// shim under test, it also says of the shim that everyone trusts.
func TestOracle(t *testing.T) {
	node := harness.Shared(t)

	t.Run("run", func(t *testing.T) {
		node.Linux(t, "echo", "hi").Run().Is(0, "hi\n")
		node.Linux(t, "sh", "-c", "echo out; echo oops >&2; exit 42").Run().Is(42, "out\n").Complains("oops")
	})
	t.Run("stdin", func(t *testing.T) {
		node.Linux(t, "cat").Stdin(strings.NewReader("a line\n")).Run().Is(0, "a line\n")
		task := node.Linux(t, "cat").Interactive().Start()
		task.Type("one\n")
		task.Expect("one\n")
		task.CloseStdin()
		task.Wait().Is(0, "one\n")
		task.Delete()
	})
	t.Run("terminal", func(t *testing.T) {
		task := node.Linux(t, "sh", "-c", "read x; stty size").Terminal().Interactive().Create()
		task.Start()
		task.Resize(100, 40)
		task.Type("\n")
		task.Wait().Exits(0).Prints("40 100")
		task.Delete()
	})
	t.Run("kill", func(t *testing.T) {
		task := node.Linux(t, "sleep", "1000").Start()
		task.Kill(unix.SIGKILL)
		task.Wait().Exits(137)
		task.Delete()
	})
	t.Run("exec", func(t *testing.T) {
		task := node.Linux(t, "sleep", "1000").Start()
		task.ExecArgs("sh", "-c", "echo in $0; exit 3", "exec").Run().Is(3, "in exec\n")
		task.ExecArgs("cat").Stdin(strings.NewReader("x")).Run().Is(0, "x")
		task.ExecArgs("/no/such").Refused("no such file")
		stats := task.Stats()
		if stats.CPU == 0 || stats.Memory == 0 || stats.Pids == 0 {
			t.Errorf("stats %+v", stats)
		}
		task.Pause()
		task.Resume()
		if pids := task.Pids(); len(pids) != 1 || pids[0] != task.Pid() {
			t.Errorf("pids %v, want only %d", pids, task.Pid())
		}
		task.Kill(unix.SIGKILL)
		task.Wait()
		task.Delete()
	})
	t.Run("events", func(t *testing.T) {
		events := node.Events(t)
		task := node.Linux(t, "sleep", "1000").Start()
		task.ExecArgs("sh", "-c", "exit 3").Run()
		task.Pause()
		task.Resume()
		task.Kill(unix.SIGKILL)
		task.Wait()
		// runc's shim wakes Wait before its exit event is out, and deletes
		// before the last event is: a quick end loses either.
		events.Expect(task.ID, "create", "start", "exec-added exec1", "exec-started exec1", "exit 3 exec1",
			"paused", "resumed", "exit 137")
		task.Delete()
	})
	t.Run("ctr", func(t *testing.T) {
		node.Ctr(t, "run", "--rm", "--runtime", harness.RuncRuntime, harness.Busybox, "by-ctr", "echo", "hi").Is(0, "hi\n")
	})
}

// TestOracleOfRestarts does the same for a containerd that crashes, of each
// version.
func TestOracleOfRestarts(t *testing.T) {
	for _, version := range harness.Versions() {
		t.Run(version, func(t *testing.T) {
			node := harness.New(t, version)
			task := node.Linux(t, "sh", "-c", "read x; echo got $x; exit 5").Interactive().Start()
			node.Crash()
			node.Start(t)
			task.Type("it\n")
			task.Wait().Is(5, "got it\n")
			task.Delete()
		})
	}
}

// TestOracleOfLeftovers leaves one thing of each kind and wants it found.
func TestOracleOfLeftovers(t *testing.T) {
	before := harness.Hold()
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("/run/left", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/run/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", "/run/left", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join("/sys/fs/cgroup/pids", room.Name()+"-x", "left")
	if err := os.MkdirAll(group, 0o755); err != nil {
		t.Fatal(err)
	}
	found := strings.Join(harness.Hold().Since(before), "\n")
	for _, want := range []string{"process", "sleep 1000", "mount", "/run/left", "file /run/file", "cgroup " + group} {
		if !strings.Contains(found, want) {
			t.Errorf("%q is not among the leftovers:\n%s", want, found)
		}
	}

	sleep.Process.Kill()
	sleep.Wait()
	unix.Unmount("/run/left", 0)
	os.Remove("/run/left")
	os.Remove("/run/file")
	os.Remove(group)
	if left := harness.LeftSince(before); len(left) != 0 {
		t.Errorf("still found: %v", left)
	}
}
