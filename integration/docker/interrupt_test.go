// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/shim/record"
)

// ticks is how often the guest of an interrupted life logs.
const ticks = 20

// TestInterruptedLife ends dockerd and containerd, in any order, by SIGTERM or
// SIGKILL, at random points of a container's life, from before its making to
// its removal, and starts them again: whatever the guest began it ends, with its
// status, and the container can be removed. (On runc the status of one that ends
// meanwhile is lost, hence no comparison.) It goes on until so many lives had
// begun and kept their status.
func TestInterruptedLife(t *testing.T) {
	points := 3
	if harness.Full() {
		points = 20
	}
	e := engine.New(t, engine.WithConfig("live-restore", true))
	e.LoadAll(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	whole := life{Engine: e, t: t, name: "life", status: "9"}
	long := whole.uninterrupted()
	ends := map[string]int{}
	defer func() { t.Logf("lives, by their end: %v", ends) }()
	for i := 0; ends[kept] < points; i++ {
		if i == 5*points {
			t.Fatalf("of %d lives too few kept a status", i)
		}
		away := absences[random.IntN(len(absences))]
		delay := time.Duration(random.Int64N(int64(long)))
		t.Run(fmt.Sprintf("%v after %v", away, delay.Round(time.Millisecond)), func(t *testing.T) {
			l := life{Engine: e, t: t, name: "life", status: strconv.Itoa(10 + i)}
			defer func() { e.Docker(t, "rm", "-f", l.name) }() // 1 if there is none
			l.interrupt(away, delay)
			end := l.end(away)
			t.Log(end)
			ends[end]++
		})
	}
}

// How an interrupted life ended.
const (
	notMade   = "it was not made"
	removed   = "it had been removed"
	removing  = "its removal was begun"
	notBegun  = "it was made and not begun"
	kept      = "it kept its status"
	lostBy    = "dockerd lost its status"    // between deleting the task and noting its status
	endedBy   = "dockerd ended it"           // it had not noted its start
	neverSeen = "its end is not what it was" // a failure
)

// life is one container's.
type life struct {
	*engine.Engine
	t            *testing.T
	name, status string

	from    int             // where containerd's log began
	events  *harness.Events // until containerd goes
	said    []string        // by the client: the id, the status, the name
	deleted bool            // by dockerd, before the interruption
}

// client lives the life, which must not take longer than a minute.
func (l *life) client() *exec.Cmd {
	l.t.Helper()
	args := slices.Concat([]string{"run", "-d", "--name", l.name}, runtimes["wasm"], []string{"tick", "25", strconv.Itoa(ticks), ",", "exit", l.status})
	line := "docker " + strings.Join(args, " ") + " && docker wait " + l.name + " && docker rm " + l.name
	return l.ShellCommand(l.t, "/", "timeout 60 sh -c '"+line+"'")
}

// uninterrupted is how long a life takes.
func (l *life) uninterrupted() time.Duration {
	l.t.Helper()
	began := time.Now()
	harness.Execute(l.t, l.client()).Exits(0).Prints("\n" + l.status + "\n" + l.name + "\n")
	return time.Since(began)
}

// interrupt begins the life and takes dockerd and containerd away after a delay.
func (l *life) interrupt(away absence, delay time.Duration) {
	l.t.Helper()
	client, out := l.client(), &harness.Output{}
	client.Stdout = out
	l.events = l.Node.Events(l.t)
	l.from = len(l.Node.Log(l.t))
	if err := client.Start(); err != nil {
		l.t.Fatal(err)
	}
	time.Sleep(delay)
	away.begin(l.Engine)
	l.deleted = l.taskDeleted()
	away.end(l.t, l.Engine)
	_ = client.Wait() // it has lost dockerd, or not
	if client.ProcessState.ExitCode() == 124 {
		l.t.Errorf("the client hangs")
	}
	l.said = strings.Fields(out.String())
}

// taskDeleted says, while dockerd and containerd are away, whether dockerd has had the
// task deleted: no bundle is left, or the shim has noted in it that nothing else is.
func (l *life) taskDeleted() bool {
	l.t.Helper()
	dir := filepath.Join(l.Node.State(), "state/io.containerd.runtime.v2.task/moby")
	bundles, err := os.ReadDir(dir)
	if err != nil {
		l.t.Fatal(err)
	}
	return !slices.ContainsFunc(bundles, func(bundle os.DirEntry) bool {
		r, err := record.Load(filepath.Join(dir, bundle.Name()))
		return err != nil || !r.Removed
	})
}

// end finds out how the life ended.
func (l *life) end(away absence) string {
	l.t.Helper()
	if len(l.said) > 1 && l.said[1] != l.status {
		l.t.Errorf("docker wait said %s, want %s", l.said[1], l.status)
	}
	is := l.Docker(l.t, "inspect", "-f", "{{.State.Status}}", l.name)
	switch {
	case is.Status != 0 && len(l.said) == 0:
		is.Complains("no such object")
		return notMade
	case is.Status != 0:
		is.Complains("no such object")
		if len(l.said) < 2 {
			l.t.Errorf("it is gone, and the client has seen %q only", l.said)
		}
		return removed
	case is.Stdout == "dead\n", is.Stdout == "removing\n":
		if len(l.said) < 2 {
			l.t.Errorf("it is %s, and the client has seen %q only", is.Stdout, l.said)
		}
		return removing
	}
	began := l.Ask(l.t, "logs", l.name) != "" || is.Stdout == "running\n"
	got, whole := l.Ask(l.t, "wait", l.name), counted(l.t, l.Engine, l.name, 1) == ticks
	// A dockerd that is killed may lose the last lines, as any.
	logged := whole || away.signal == unix.SIGKILL
	switch {
	case got == l.status && logged:
		return kept
	case got == "255" && l.deleted && logged && l.toldOf():
		return lostBy
	case (got == "137" || got == "143") && !whole:
		return endedBy
	case !began && is.Stdout == "created\n" && (got == "0" || got == "128"): // 128 if containerd had gone
		return notBegun
	}
	l.t.Errorf("status %s, want %s; it was %q, and began: %v; logged in full: %v; containerd's log:\n%s",
		got, l.status, is.Stdout, began, whole, l.Node.Log(l.t)[l.from:])
	return neverSeen
}

// toldOf says that the shim told the right status.
func (l *life) toldOf() bool {
	id := inspect(l.t, l.Engine, l.name, "{{.Id}}")
	return harness.Soon(time.Second, func() bool { return slices.Contains(l.events.Of(id), "exit "+l.status) })
}
