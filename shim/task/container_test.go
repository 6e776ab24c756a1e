// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	events "github.com/containerd/containerd/api/events"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/shim/record"
	"containerd-shim-wazero/shim/stdio"
)

func mustStart(t *testing.T, c *Container, execID string) int {
	t.Helper()
	pid, err := c.Start(t.Context(), execID)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func mustExec(t *testing.T, c *Container, execID string) {
	t.Helper()
	if err := c.Exec(execID, &specs.Process{}, stdio.Request{}); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, c *Container, execID string, want uint32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, _, err := c.Wait(ctx, execID); err != nil || got != want {
		t.Fatalf("wait for %q: status %d, %v; want %d", execID, got, err, want)
	}
}

func wantEvents(t *testing.T, rec *recorder, want ...string) {
	t.Helper()
	if got := rec.events(); !slices.Equal(got, want) {
		t.Errorf("events\n%q, want\n%q", got, want)
	}
}

func TestLife(t *testing.T) {
	c, box, rec := newContainer(t)
	if pid := mustStart(t, c, ""); pid != 100 {
		t.Errorf("pid %d", pid)
	}
	mustExec(t, c, "e")
	if pid := mustStart(t, c, "e"); pid != 101 {
		t.Errorf("pid of the exec %d", pid)
	}
	box.procs[1].exit(3)
	waitFor(t, c, "e", 3)
	if st, err := c.Delete(t.Context(), "e"); err != nil || st.ExitStatus != 3 || st.Pid != 101 {
		t.Errorf("delete the exec: %+v, %v", st, err)
	}
	if err := c.Pause(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Error(err)
	}
	box.procs[0].exit(42)
	waitFor(t, c, "", 42)
	if pids, err := c.Pids(t.Context()); err != nil || len(pids) != 1 || pids[100] != "" {
		t.Errorf("pids after the exit: %v, %v", pids, err)
	}
	r, err := record.Load(c.bundle)
	if err != nil || !r.Exited || r.Status != 42 || r.Pid != 100 {
		t.Errorf("record %+v, %v", r, err)
	}
	if st, err := c.Delete(t.Context(), ""); err != nil || st.ExitStatus != 42 || st.ID != "c" || st.State != Stopped {
		t.Errorf("delete: %+v, %v", st, err)
	}
	if box.deletes != 1 {
		t.Errorf("the sandbox was deleted %d times", box.deletes)
	}
	wantEvents(t, rec, "/tasks/create", "/tasks/start", "/tasks/exec-added e", "/tasks/exec-started e", "/tasks/exit e 3",
		"/tasks/paused", "/tasks/resumed", "/tasks/exit c 42", "/tasks/delete")
}

// dockerd asks for the state when it hears of an exit, and believes the state.
func TestStoppedBeforeExit(t *testing.T) {
	c, box, rec := newContainer(t)
	asked := make(chan Status, 2)
	rec.mu.Lock()
	rec.seen = func(topic string, event proto.Message) {
		if e, ok := event.(*events.TaskExit); ok {
			id := e.ID
			if id == "c" {
				id = ""
			}
			go func() {
				st, _ := c.Status(id)
				asked <- st
			}()
		}
	}
	rec.mu.Unlock()
	mustStart(t, c, "")
	mustExec(t, c, "e")
	mustStart(t, c, "e")
	box.procs[1].exit(1)
	if st := <-asked; st.State != Stopped || st.ExitStatus != 1 || st.ID != "e" {
		t.Errorf("exec: %+v", st)
	}
	box.procs[0].exit(2)
	if st := <-asked; st.State != Stopped || st.ExitStatus != 2 {
		t.Errorf("init: %+v", st)
	}
}

func TestInitEndsExecs(t *testing.T) {
	c, box, rec := newContainer(t)
	mustStart(t, c, "")
	mustExec(t, c, "never started")
	mustExec(t, c, "e")
	mustStart(t, c, "e")
	// One more is on its way up when init exits.
	box.spawning = make(chan struct{})
	mustExec(t, c, "late")
	late := make(chan error)
	go func() {
		_, err := c.Start(context.WithoutCancel(t.Context()), "late")
		late <- err
	}()
	for {
		c.mu.Lock()
		starting := c.execs["late"].starting
		c.mu.Unlock()
		if starting {
			break
		}
		time.Sleep(time.Millisecond)
	}
	box.procs[0].exit(7)
	if err := <-late; !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start of an exec after init's exit: %v", err)
	}
	waitFor(t, c, "e", 137)
	waitFor(t, c, "", 7)
	if _, err := c.Start(t.Context(), "never started"); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start of an exec after init's exit: %v", err)
	}
	wantEvents(t, rec, "/tasks/create", "/tasks/start", "/tasks/exec-added never started", "/tasks/exec-added e",
		"/tasks/exec-started e", "/tasks/exec-added late", "/tasks/exit e 137", "/tasks/exit c 7")
}

func TestOOMBeforeExit(t *testing.T) {
	c, box, rec := newContainer(t)
	mustStart(t, c, "")
	box.mu.Lock()
	box.oom = true
	box.mu.Unlock()
	box.procs[0].exit(137)
	waitFor(t, c, "", 137)
	wantEvents(t, rec, "/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit c 137")
}

// containerd's WithProcessKill: a created task is killed, and its Wait wakes.
func TestKillCreated(t *testing.T) {
	c, _, rec := newContainer(t)
	if err := c.Kill(t.Context(), "", unix.SIGKILL, true); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, "", 137)
	if _, err := c.Start(t.Context(), ""); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start: %v", err)
	}
	if _, err := c.Delete(t.Context(), ""); err != nil {
		t.Error(err)
	}
	wantEvents(t, rec, "/tasks/create", "/tasks/exit c 137", "/tasks/delete")
}

func TestDeleteCreated(t *testing.T) {
	c, _, rec := newContainer(t)
	if st, err := c.Delete(t.Context(), ""); err != nil || st.ExitStatus != 137 {
		t.Errorf("%+v, %v", st, err)
	}
	wantEvents(t, rec, "/tasks/create", "/tasks/exit c 137", "/tasks/delete")
}

func TestKill(t *testing.T) {
	c, _, _ := newContainer(t)
	mustStart(t, c, "")
	mustExec(t, c, "e")
	if err := c.Kill(t.Context(), "e", unix.SIGTERM, false); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("an exec not started: %v", err)
	}
	if err := c.Kill(t.Context(), "x", unix.SIGTERM, false); !errdefs.IsNotFound(err) {
		t.Errorf("no such exec: %v", err)
	}
	if err := c.Kill(t.Context(), "", 99, false); !errdefs.IsInvalidArgument(err) {
		t.Errorf("no such signal: %v", err)
	}
	mustStart(t, c, "e")
	if err := c.Kill(t.Context(), "e", unix.SIGWINCH, false); err != nil {
		t.Error(err)
	}
	if err := c.Pause(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Kill(t.Context(), "", unix.SIGKILL, false); err != nil {
		t.Errorf("kill while paused: %v", err)
	}
	waitFor(t, c, "", 137)
	for range 2 {
		if err := c.Kill(t.Context(), "", unix.SIGKILL, true); !errdefs.IsNotFound(err) {
			t.Errorf("kill after the exit: %v", err)
		}
	}
	if err := c.Kill(t.Context(), "e", unix.SIGTERM, false); !errdefs.IsNotFound(err) {
		t.Errorf("kill a finished exec: %v", err)
	}
}

func TestKillAllExecs(t *testing.T) {
	c, _, _ := newContainer(t)
	mustStart(t, c, "")
	mustExec(t, c, "e")
	mustStart(t, c, "e")
	if err := c.Kill(t.Context(), "", unix.SIGTERM, true); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, "e", 143)
	waitFor(t, c, "", 143)
}

func TestPausedRefusesExec(t *testing.T) {
	c, _, _ := newContainer(t)
	mustStart(t, c, "")
	mustExec(t, c, "e")
	if err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Exec("f", &specs.Process{}, stdio.Request{}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("exec: %v", err)
	}
	if _, err := c.Start(t.Context(), "e"); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start: %v", err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustStart(t, c, "e")
}

func TestExecTwice(t *testing.T) {
	c, _, _ := newContainer(t)
	mustExec(t, c, "e")
	if err := c.Exec("e", &specs.Process{}, stdio.Request{}); !errdefs.IsAlreadyExists(err) {
		t.Errorf("same id: %v", err)
	}
	if _, err := c.Delete(t.Context(), "e"); err != nil {
		t.Error(err)
	}
	if _, err := c.Delete(t.Context(), "e"); !errdefs.IsNotFound(err) {
		t.Errorf("delete twice: %v", err)
	}
	mustExec(t, c, "e")
}

// An exec whose start fails is as it was, and can be deleted.
func TestExecStartFails(t *testing.T) {
	c, box, rec := newContainer(t)
	mustStart(t, c, "")
	mustExec(t, c, "e")
	box.mu.Lock()
	box.startErr = errors.New("no module")
	box.mu.Unlock()
	if _, err := c.Start(t.Context(), "e"); err == nil {
		t.Fatal("no error")
	}
	if st, err := c.Status("e"); err != nil || st.State != Created || st.Pid != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := c.Delete(t.Context(), "e"); err != nil {
		t.Error(err)
	}
	wantEvents(t, rec, "/tasks/create", "/tasks/start", "/tasks/exec-added e")
}

// State answers while an exec's module is being compiled.
func TestStatusWhileStarting(t *testing.T) {
	c, box, _ := newContainer(t)
	mustStart(t, c, "")
	box.spawning = make(chan struct{})
	mustExec(t, c, "e")
	done := make(chan error)
	go func() {
		_, err := c.Start(context.WithoutCancel(t.Context()), "e")
		done <- err
	}()
	if st, err := c.Status("e"); err != nil || st.State != Created {
		t.Errorf("%+v, %v", st, err)
	}
	if err := c.CloseIO("e"); err != nil {
		t.Error(err)
	}
	if err := c.Resize("e", 80, 25); err != nil {
		t.Error(err)
	}
	close(box.spawning)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWaitGivesUp(t *testing.T) {
	c, _, _ := newContainer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Wait(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
