// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/client"

	"containerd-shim-wazero/integration/harness"
)

// A whole life on each version.
func TestLifeCycle(t *testing.T) {
	for _, version := range harness.Versions() {
		t.Run(version, func(t *testing.T) {
			node := harness.New(t, version)
			events := node.Events(t)
			task := node.Guest(t, "box", "answer").Interactive().Create()
			if status := task.Status().Status; status != client.Created {
				t.Errorf("status %s", status)
			}
			task.Start()
			task.Type("one\n")
			task.Expect("got one")
			task.Exec("box", "echo", "hi", ",", "exit", "5").Run().Is(5, "hi\n")
			task.Pause()
			task.Resume()
			if stats := task.Stats(); stats.Memory == 0 || stats.Pids == 0 {
				t.Errorf("stats %+v", stats)
			}
			task.Kill(syscall.SIGTERM)
			task.WaitFor(quickly).Exits(143)
			task.Delete()
			want := []string{"create", "start", "exec-added exec1", "exec-started exec1", "exit 5 exec1", "paused", "resumed", "exit 143", "delete"}
			harness.Eventually(t, "the delete is known", func() bool { return slices.Contains(events.Of(task.ID), "delete") })
			if got := events.Of(task.ID); !slices.Equal(got, want) {
				t.Errorf("events %q, want %q", got, want)
			}
			group := "io.containerd.runc.v2.group"
			first := node.Guest(t, "box", "wait").Annotation(group, "g").Interactive().Start()
			second := node.Guest(t, "box", "wait").Annotation(group, "g").Interactive().Start()
			if parent(t, first.Pid()) != parent(t, second.Pid()) {
				t.Error("two members of a group have two shims")
			}
			for _, member := range []*harness.Task{first, second} {
				member.CloseStdin()
				member.Wait().Exits(0)
				member.Delete()
			}
			node.Guest(t, "text-that-is-not-there").Refused("no such file or directory")
		})
	}
}

// Containerd is replaced by a newer one, and the shim's binary as well, while
// containers run.
func TestUpgrade(t *testing.T) {
	versions := []string{"1.7", harness.DefaultVersion}
	if harness.Full() {
		versions = []string{"2.0", "2.2", "2.3", harness.DefaultVersion}
	}
	node := harness.New(t, versions[0])
	var tasks []*harness.Task
	for range 3 {
		tasks = append(tasks, node.Guest(t, "box", "answer").Interactive().Start())
	}
	created := node.Guest(t, "box", "echo", "late").Create()
	for _, version := range versions[1:] {
		node.Upgrade(t, version)
		for _, task := range tasks {
			task.Type(version + "\n")
			task.Expect("got " + version + "\n")
			task.Exec("box", "echo", version).Run().Is(0, version+"\n")
		}
	}
	replaceShim(t)
	created.Start()
	created.Wait().Is(0, "late\n")
	created.Delete()
	tasks[0].Exec("box", "echo", "old shim").Run().Is(0, "old shim\n")
	node.Guest(t, "hello-c").Run().Is(0, "hello from C\n")
	// The new binary's `delete` clears up after an old shim that was killed.
	if err := syscall.Kill(parent(t, tasks[1].Pid()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the guest dies", gone(tasks[1].Pid()))
	closeIO(tasks[1].Client())
	for _, i := range []int{0, 2} {
		tasks[i].CloseStdin()
		tasks[i].Wait().Exits(0)
		tasks[i].Delete()
	}
}

// replaceShim puts another build in the shim's place, as a package does: by
// rename. It is the room's own copy.
func replaceShim(t *testing.T) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(filepath.Dir(harness.Shim()), "newer")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", newer, "./cmd/"+harness.ShimBinary)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	older := newer + ".old"
	if err := os.Link(harness.Shim(), older); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(newer, harness.Shim()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Rename(older, harness.Shim()); err != nil {
			t.Error(err)
		}
	})
}
