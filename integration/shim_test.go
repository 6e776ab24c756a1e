// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
)

// quickly is how soon a signal has done its work.
const quickly = time.Second

// What each signal does, whatever the guest is at.
func TestSignals(t *testing.T) {
	node := harness.Shared(t)
	for name, args := range map[string][]string{
		"spinning": {"echo", "up", ",", "spin"},
		"sleeping": {"echo", "up", ",", "sleep", "100000"},
		"reading":  {"echo", "up", ",", "cat"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, signal := range []syscall.Signal{
				syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGKILL, syscall.SIGUSR1,
			} {
				task := node.Guest(t, "box", args...).Interactive().Start()
				task.Expect("up")
				for _, nothing := range []syscall.Signal{syscall.SIGWINCH, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGCONT} {
					task.Kill(nothing)
				}
				task.Kill(signal)
				task.WaitFor(quickly).Exits(128 + int(signal))
				if err := task.TryKill(signal); !errdefs.IsNotFound(err) {
					t.Errorf("kill twice: %v", err)
				}
				task.Delete()
			}
		})
	}
}

func TestKillBeforeStart(t *testing.T) {
	node := harness.Shared(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		task := node.Guest(t, "hello-c").Create()
		task.Kill(signal)
		task.WaitFor(quickly).Is(128+int(signal), "")
		if err := task.TryStart(); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("start of a killed container: %v", err)
		}
		task.Delete()
	}
	task := node.Guest(t, "hello-c").Create()
	task.Kill(syscall.SIGKILL, client.WithKillAll)
	task.WaitFor(quickly).Exits(137)
	task.Delete()
}

func TestPause(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "tick", "10").Start()
	task.Expect("\n")
	task.Pause()
	if status := task.Status().Status; status != client.Paused {
		t.Errorf("status %s", status)
	}
	before := len(task.Stdout())
	time.Sleep(100 * time.Millisecond)
	if after := len(task.Stdout()); after != before {
		t.Errorf("a paused guest has written %d bytes", after-before)
	}
	task.Exec("box", "true").Refused("paused")
	task.Resume()
	if status := task.Status().Status; status != client.Running {
		t.Errorf("status %s", status)
	}
	task.Exec("box", "true").Run().Is(0, "")
	task.Pause()
	task.Kill(syscall.SIGKILL)
	task.WaitFor(quickly).Exits(137)
	task.Delete()
}

func TestExec(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "wait").Interactive().Start()
	var wg sync.WaitGroup
	for i := range 20 {
		exec := task.Exec("box", "echo", fmt.Sprint(i), ",", "answer", ",", "exit", fmt.Sprint(i)).
			Stdin(strings.NewReader(fmt.Sprintf("line %d\n", i)))
		wg.Go(func() {
			exec.Run().Is(i, fmt.Sprintf("%d\ngot line %d\n", i, i))
		})
	}
	wg.Wait()
	task.Exec("box", "get", "WHO").With(func(p *specs.Process) { p.Env = []string{"WHO=me"} }).Run().Is(0, "me\n")
	killed := task.Exec("box", "spin").Start()
	killed.Kill(syscall.SIGTERM)
	killed.WaitFor(quickly).Exits(143)
	killed.Delete()
	task.Exec("none").Refused("no such file or directory")
	running := task.Exec("box", "echo", "up", ",", "wait").Interactive().Start()
	running.Expect("up")
	task.CloseStdin()
	task.Wait().Exits(0)
	running.WaitFor(quickly).Exits(137)
	running.Delete()
	if err := task.Exec("box", "true").TryStart(); !errdefs.IsFailedPrecondition(err) && !errdefs.IsNotFound(err) {
		t.Errorf("exec after the exit: %v", err)
	}
	task.Delete()
}

func TestTerminal(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "tty", ",", "answer").Terminal().Interactive().Start()
	task.Expect("2 is a tty")
	task.Resize(132, 50)
	task.Type("hello\n")
	task.Expect("got hello")
	task.Type("\x1a") // Ctrl-Z does nothing
	task.Type("more\n")
	task.Expect("got")
	task.Type("\x03")
	task.WaitFor(quickly).Exits(130)
	task.Delete()

	spin := node.Guest(t, "box", "echo", "up", ",", "spin").Terminal().Interactive().Start()
	spin.Expect("up")
	exec := spin.Exec("box", "tty", ",", "spin").Terminal().Interactive().Start()
	exec.Expect("2 is a tty")
	exec.Type("\x1c")
	exec.WaitFor(quickly).Exits(131)
	exec.Delete()
	spin.Type("\x1c")
	spin.WaitFor(quickly).Exits(131)
	spin.Delete()
}

func TestStdinOfAHundredMegabytes(t *testing.T) {
	node := harness.Shared(t)
	node.Guest(t, "box", "count").Run().Prints("0")
	const size = 100 << 20
	result := node.Guest(t, "box", "count").Stdin(&zeros{left: size}).Run()
	result.Exits(0).Prints(fmt.Sprint(size))
}

type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, os.ErrClosed
	}
	n := min(len(p), z.left)
	clear(p[:n])
	z.left -= n
	return n, nil
}

func TestStatesAndErrors(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "wait").Interactive().Create()
	if status := task.Status().Status; status != client.Created {
		t.Errorf("status %s", status)
	}
	if pid := task.Pid(); pid <= 0 || syscall.Kill(pid, 0) != nil {
		t.Errorf("pid %d is not alive before the start", pid)
	}
	if len(task.Pids()) != 1 {
		t.Errorf("pids %v", task.Pids())
	}
	task.Start()
	if err := task.TryStart(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start twice: %v", err)
	}
	if err := task.TryDelete(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("delete while running: %v", err)
	}
	exec := task.Exec("box", "true")
	if err := exec.TryAdd(); err != nil {
		t.Fatal(err)
	}
	if err := exec.TryKill(syscall.SIGTERM); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("kill an exec that is not started: %v", err)
	}
	if err := exec.Client().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec.Wait().Exits(0)
	if err := exec.TryKill(syscall.SIGTERM); !errdefs.IsNotFound(err) {
		t.Errorf("kill a finished exec: %v", err)
	}
	exec.Delete()
	pid := task.Pid()
	task.CloseStdin()
	task.Wait().Exits(0)
	if pids := task.Pids(); len(pids) != 1 || pids[0] != pid {
		t.Errorf("pids after the exit: %v, want %d", pids, pid)
	}
	if status := task.Status(); status.Status != client.Stopped {
		t.Errorf("status %v", status)
	}
	task.Metrics()
	task.Delete()
}

// A container of every kind survives containerd's death.
func TestContainerdRestarts(t *testing.T) {
	for _, version := range harness.Versions() {
		t.Run(version, func(t *testing.T) {
			node := harness.New(t, version)
			node.Guest(t, "hello-c").Run().Is(0, "hello from C\n")
			created := node.Guest(t, "box", "echo", "late").Create()
			running := node.Guest(t, "box", "answer").Interactive().Start()
			exits := node.Guest(t, "box", "sleep", "700", ",", "exit", "42").Start()
			running.Exec("box", "echo", "hi").Run().Is(0, "hi\n")
			node.Crash()
			time.Sleep(time.Second) // exits meanwhile
			node.Start(t)
			if status := running.Status().Status; status != client.Running {
				t.Errorf("status %s", status)
			}
			running.Type("again\n")
			running.Expect("got again")
			running.Exec("box", "echo", "hi").Run().Is(0, "hi\n")
			exits.Wait().Exits(42)
			exits.Delete()
			created.Start()
			created.Wait().Is(0, "late\n")
			created.Delete()
			running.Kill(syscall.SIGTERM)
			running.Wait().Exits(143)
			running.Delete()
		})
	}
}
