// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// rounds is a count that is larger in full runs.
func rounds(few, many int) int {
	if harness.Full() {
		return many
	}
	return few
}

// Containerd is killed between Create and Start, at rest, during an exec, and
// while a container exits; after its restart everything is as it was.
func TestContainerdKilledAtEachPoint(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion)
	for name, point := range map[string]func(*testing.T, *harness.Node){
		"between create and start": func(t *testing.T, node *harness.Node) {
			task := node.Guest(t, "box", "echo", "late", ",", "exit", "7").Create()
			pid := task.Pid()
			restart(t, node)
			if status := task.Status().Status; status != client.Created {
				t.Errorf("status %s", status)
			}
			if pids := task.Pids(); len(pids) != 1 || pids[0] != pid {
				t.Errorf("pids %v, want %d", pids, pid)
			}
			task.Start()
			task.Wait().Is(7, "late\n")
			task.Delete()
		},
		"while paused": func(t *testing.T, node *harness.Node) {
			task := node.Guest(t, "box", "wait").Interactive().Start()
			task.Pause()
			restart(t, node)
			if status := task.Status().Status; status != client.Paused {
				t.Errorf("status %s", status)
			}
			task.Resume()
			task.CloseStdin()
			task.Wait().Exits(0)
			task.Delete()
		},
		"during an exec": func(t *testing.T, node *harness.Node) {
			task := node.Guest(t, "box", "wait").Interactive().Start()
			exec := task.Exec("box", "answer").Interactive().Start()
			ended := task.Exec("box", "exit", "9").Start()
			ended.Wait().Exits(9)
			restart(t, node)
			exec.Type("one\n")
			exec.Expect("got one\n")
			exec.CloseStdin()
			exec.Wait().Is(0, "got one\n")
			exec.Delete()
			if status := ended.Status(); status.Status != client.Stopped || status.ExitStatus != 9 {
				t.Errorf("the exec that ended before: %+v", status)
			}
			ended.Delete()
			task.CloseStdin()
			task.Wait().Exits(0)
			task.Delete()
		},
		"while the container exits": func(t *testing.T, node *harness.Node) {
			task := node.Guest(t, "box", "answer", ",", "exit", "42").Interactive().Start()
			task.Type("up\n")
			task.Expect("got up")
			pid := task.Pid()
			// Frozen, containerd can hear of nothing; it never wakes.
			if err := unix.Kill(node.Pid(), unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, "the guest ends", gone(pid))
			restart(t, node)
			if status := task.Status(); status.Status != client.Stopped || status.ExitStatus != 137 {
				t.Errorf("status %+v", status)
			}
			task.Wait().Exits(137)
			task.Delete()
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range rounds(1, 20) {
				point(t, node)
			}
		})
	}
}

func restart(t *testing.T, node *harness.Node) {
	t.Helper()
	node.Crash()
	node.Start(t)
}

// Containerd is killed while containers are made, run and removed: whatever
// was cut short can be removed, and nothing is left.
func TestContainerdKilledAtRandom(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion)
	node.Guest(t, "hello-c").Run().Is(0, "hello from C\n")
	before := harness.Hold()
	for round := range rounds(4, 60) {
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				args := []string{"run", "--rm", "--runtime", harness.Runtime, "--platform", "wasi/wasm",
					harness.Guests, fmt.Sprintf("cut-%d-%d", round, i), "/hello-c.wasm"}
				_ = node.CtrCommand(t, args...).Run() // it may be cut off
			})
		}
		time.Sleep(time.Duration(40+round*37%160) * time.Millisecond)
		node.Crash()
		wg.Wait()
		node.Start(t)
		removeAll(t, node)
	}
	// The FIFOs of a ctr whose containerd is gone are its own to leave.
	if err := os.RemoveAll("/run/containerd/fifo"); err != nil {
		t.Fatal(err)
	}
	for _, item := range harness.LeftSince(before) {
		t.Errorf("left behind: %s", item)
	}
	node.Guest(t, "hello-c").Run().Is(0, "hello from C\n")
}

// removeAll removes every container of the node, however far it came.
func removeAll(t *testing.T, node *harness.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	all, err := node.Client.Containers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if task, err := c.Task(ctx, nil); err == nil {
			if _, err := task.Delete(ctx, client.WithProcessKill); err != nil {
				t.Errorf("delete what containerd's death cut short: %v", err)
			}
		}
		if err := c.Delete(ctx, client.WithSnapshotCleanup); err != nil {
			t.Errorf("remove what containerd's death cut short: %v", err)
		}
	}
}

// A created, not yet started container goes with its shim as well.
func TestShimDiesBeforeStart(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "hello-c").Create()
	pid := task.Pid()
	if err := syscall.Kill(parent(t, pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	harness.Eventually(t, "the sandbox dies", gone(pid))
	if took := time.Since(began); took > time.Second {
		t.Errorf("the sandbox outlived its shim by %s", took)
	}
	closeIO(task.Client())
}

// When a group's shim dies, every member does.
func TestGroupShimDies(t *testing.T) {
	node := harness.Shared(t)
	events := node.Events(t)
	var members []*harness.Task
	for range 3 {
		task := node.Guest(t, "box", "echo", "up", ",", "spin").Annotation("io.containerd.runc.v2.group", "doomed").Start()
		task.Expect("up")
		members = append(members, task)
	}
	members[1].Pause()
	if err := syscall.Kill(parent(t, members[0].Pid()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, task := range members {
		harness.Eventually(t, "a member dies", gone(task.Pid()))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the members outlived their shim by %s", took)
	}
	for _, task := range members {
		harness.Eventually(t, "the exit is known", func() bool {
			return strings.Contains(strings.Join(events.Of(task.ID), ","), "exit 137")
		})
		closeIO(task.Client())
	}
}

// Without space on the disk that the cache and the bundles are on, there are
// errors; with space again, containers.
func TestFullDisk(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion)
	node.Guest(t, "box", "true").Run().Exits(0)
	caches := t.TempDir()
	mount(t, caches, "size=64k,mode=700")
	options := configured(t, "[cache]\ndir = \""+caches+"\"\n")
	small := node.Guest(t, "hello-go").Options(options)
	// The cache cannot keep the module: that is a slower start, or an error
	// that says why.
	if task, err := small.TryCreate(); err != nil {
		sentence(t, err.Error())
		if !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("%v", err)
		}
	} else {
		task.Start()
		task.Wait().Is(0, "hello from Go\n")
		task.Delete()
	}
	left, err := filepath.Glob(caches + "/*/*")
	if err != nil || len(left) > 1 {
		t.Errorf("in the full cache: %q, %v", left, err)
	}
	if err := unix.Mount("", caches, "", unix.MS_REMOUNT, "size=64m,mode=700"); err != nil {
		t.Fatal(err)
	}
	node.Guest(t, "hello-go").Options(options).Run().Is(0, "hello from Go\n")
}

// The bundle's own disk is full: containerd or the shim refuses.
func TestFullBundleDisk(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "answer").Interactive().Start()
	var stat unix.Statfs_t
	if err := unix.Statfs("/run", &stat); err != nil {
		t.Fatal(err)
	}
	size := func(blocks uint64) {
		t.Helper()
		options := fmt.Sprintf("nr_blocks=%d", blocks)
		if err := unix.Mount("", "/run", "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			t.Fatal(err)
		}
	}
	size(stat.Blocks - stat.Bfree)
	t.Cleanup(func() { size(stat.Blocks) })
	// Its own record of the exit has no place: the exit itself is told all
	// the same.
	exec := task.Exec("box", "exit", "3").Stdin(nil)
	err := exec.TryStart()
	if err == nil {
		exec.WaitFor(5 * time.Second).Exits(3)
		exec.Delete()
	}
	_, refused := node.Guest(t, "hello-c").TryCreate()
	if refused != nil {
		t.Log(refused)
	}
	task.Type("still\n")
	task.Expect("got still")
	task.CloseStdin()
	task.WaitFor(5 * time.Second).Exits(0)
	size(stat.Blocks)
	if err == nil && refused == nil {
		t.Error("the disk was not full")
	}
	task.Delete()
	node.Guest(t, "hello-c").Run().Is(0, "hello from C\n")
}

// A shim without file descriptors answers with errors and goes on.
func TestNoDescriptors(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "answer").Interactive().Start()
	shim := parent(t, task.Pid())
	var was unix.Rlimit
	if err := unix.Prlimit(shim, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", shim))
	if err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: uint64(len(entries)), Max: was.Max}
	if err := unix.Prlimit(shim, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		sentence(t, task.Exec("box", "true").Refused("too many open files"))
	}
	task.Type("still\n")
	task.Expect("got still")
	if err := unix.Prlimit(shim, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	task.Exec("box", "echo", "again").Run().Is(0, "again\n")
	after, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", shim))
	if err != nil || len(after) > len(entries) {
		t.Errorf("the shim had %d descriptors open and has %d, %v", len(entries), len(after), err)
	}
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
}

// Without memory in the container there is an error with the figures, and an
// exec that finds none is refused too.
func TestNoMemory(t *testing.T) {
	node := harness.Shared(t)
	for _, limit := range []uint64{1 << 20, 4 << 20} {
		sentence(t, node.Guest(t, "hello-go").Memory(limit).Refused("memory"))
	}
	task := node.Guest(t, "box", "answer").Memory(64 << 20).Interactive().Start()
	none := int64(1)
	err := task.Task().Update(t.Context(), client.WithResources(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &none}}))
	if err != nil {
		t.Fatal(err)
	}
	sentence(t, task.Exec("box", "true").Refused())
	task.Type("still\n")
	task.Expect("got still")
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
}

// mount makes a small file system for one test.
func mount(t *testing.T, path, options string) {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", path).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		// A shim that has answered its last call still ends.
		harness.Eventually(t, "unmount "+path, func() bool { return unix.Unmount(path, 0) == nil })
	})
}

// configured are runtime options that name a settings file with this text.
func configured(t *testing.T, text string) *runtimeoptions.Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &runtimeoptions.Options{ConfigPath: path}
}
