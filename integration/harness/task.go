// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Task is a container with its first process.
type Task struct {
	Process
	ID        string
	Container client.Container
	task      client.Task
	execs     int
	removed   bool
}

func newTask(c *Container, container client.Container) *Task {
	return &Task{Process: newProcess(c.node, c.t, c.String(), c.streams), ID: c.ID, Container: container}
}

func (t *Task) create(ctx context.Context) error {
	task, err := t.Container.NewTask(ctx, t.io())
	if err != nil {
		return err
	}
	t.task, t.process = task, task
	t.Process.watch()
	return nil
}

// Delete deletes task and container, which must have ended.
func (t *Task) Delete() {
	t.t.Helper()
	if err := t.TryDelete(); err != nil {
		t.t.Fatalf("delete %s: %v", t.what, err)
	}
}

// TryDelete is Delete with the error answered.
func (t *Task) TryDelete() error {
	ctx, cancel := t.node.ctx()
	defer cancel()
	if _, err := t.task.Delete(ctx); err != nil {
		return err
	}
	t.removed = true
	t.cancel()
	return t.Container.Delete(ctx, client.WithSnapshotCleanup)
}

// remove takes away whatever a test has not, however far it came.
func (t *Task) remove() {
	if t.removed {
		return
	}
	t.removed = true
	t.cancel()
	ctx, cancel := t.node.ctx()
	defer cancel()
	if t.typed != nil {
		t.typed.Close()
	}
	if t.task != nil {
		_ = t.task.Resume(ctx)
		if _, err := t.task.Delete(ctx, client.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
			t.t.Logf("remove %s: %v", t.what, err)
		}
	}
	if err := t.Container.Delete(ctx, client.WithSnapshotCleanup); err != nil && !errdefs.IsNotFound(err) {
		t.t.Logf("remove %s: %v", t.what, err)
	}
}

// do makes one call to the task service.
func (t *Task) do(verb string, call func(context.Context) error) {
	t.t.Helper()
	ctx, cancel := t.node.ctx()
	defer cancel()
	if err := call(ctx); err != nil {
		t.t.Fatalf("%s %s: %v", verb, t.what, err)
	}
}

// Pause freezes the container.
func (t *Task) Pause() {
	t.t.Helper()
	t.do("pause", t.task.Pause)
}

// Resume thaws it.
func (t *Task) Resume() {
	t.t.Helper()
	t.do("resume", t.task.Resume)
}

// Update changes the limits.
func (t *Task) Update(resources *specs.LinuxResources) {
	t.t.Helper()
	t.do("update", func(ctx context.Context) error {
		return t.task.Update(ctx, client.WithResources(resources))
	})
}

// Metrics are the container's, still packed.
func (t *Task) Metrics() (metric *types.Metric) {
	t.t.Helper()
	t.do("stats of", func(ctx context.Context) (err error) {
		metric, err = t.task.Metrics(ctx)
		return err
	})
	return metric
}

// Pids are the processes of the container.
func (t *Task) Pids() (pids []int) {
	t.t.Helper()
	t.do("pids of", func(ctx context.Context) error {
		infos, err := t.task.Pids(ctx)
		for _, info := range infos {
			pids = append(pids, int(info.Pid))
		}
		return err
	})
	return pids
}

// Task is containerd's own handle, for what is not here.
func (t *Task) Task() client.Task { return t.task }

// Exec describes a further process of a container.
type Exec struct {
	Process
	task *Task
	id   string
	spec specs.Process
}

// Exec is a further process that runs the named guest.
func (t *Task) Exec(guest string, args ...string) *Exec {
	t.t.Helper()
	return t.ExecArgs(append([]string{"/" + guest + ".wasm"}, args...)...)
}

// ExecArgs is a further process with this argv, and user, environment and
// working directory as the first has them.
func (t *Task) ExecArgs(args ...string) *Exec {
	t.t.Helper()
	var spec specs.Process
	t.do("spec of", func(ctx context.Context) error {
		s, err := t.Container.Spec(ctx)
		if err == nil {
			spec = *s.Process
		}
		return err
	})
	spec.Args, spec.Terminal = args, false
	t.execs++
	id := fmt.Sprintf("exec%d", t.execs)
	what := fmt.Sprintf("%s in %s: %s", id, t.what, strings.Join(args, " "))
	return &Exec{Process: newProcess(t.node, t.t, what, streams{}), task: t, id: id, spec: spec}
}

// With changes the process's spec in any way.
func (e *Exec) With(change func(*specs.Process)) *Exec {
	change(&e.spec)
	return e
}

// Terminal gives the process a tty.
func (e *Exec) Terminal() *Exec {
	e.spec.Terminal, e.terminal = true, true
	return e
}

// Stdin is what the process reads.
func (e *Exec) Stdin(r io.Reader) *Exec {
	e.stdin = r
	return e
}

// Interactive lets the test type.
func (e *Exec) Interactive() *Exec {
	e.interactive()
	return e
}

// Run starts, awaits and deletes.
func (e *Exec) Run() *Result {
	e.t.Helper()
	e.Start()
	result := e.Wait()
	e.Delete()
	return result
}

// Refused starts the process, which must fail with the texts in its error.
func (e *Exec) Refused(texts ...string) string {
	e.t.Helper()
	err := e.TryStart()
	if err == nil {
		e.t.Errorf("%s started, want a refusal with %q", e.what, texts)
		return ""
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			e.t.Errorf("%s: %q, want %q in it", e.what, err, text)
		}
	}
	return err.Error()
}

// Start adds the process to the container and lets it run.
func (e *Exec) Start() *Exec {
	e.t.Helper()
	if err := e.TryStart(); err != nil {
		e.t.Fatalf("start %s: %v", e.what, err)
	}
	return e
}

// TryStart is Start with the error answered; the process is gone then.
func (e *Exec) TryStart() error {
	if err := e.TryAdd(); err != nil {
		return err
	}
	ctx, cancel := e.node.ctx()
	defer cancel()
	if err := e.process.Start(ctx); err != nil {
		e.cancel()
		_, _ = e.process.Delete(ctx)
		return err
	}
	return nil
}

// TryAdd adds the process to the container without starting it.
func (e *Exec) TryAdd() error {
	ctx, cancel := e.node.ctx()
	defer cancel()
	process, err := e.task.task.Exec(ctx, e.id, &e.spec, e.io())
	if err != nil {
		return err
	}
	e.process = process
	e.Process.watch()
	return nil
}

// Delete removes the process, which must have ended.
func (e *Exec) Delete() {
	e.t.Helper()
	ctx, cancel := e.node.ctx()
	defer cancel()
	e.cancel()
	if _, err := e.process.Delete(ctx); err != nil {
		e.t.Fatalf("delete %s: %v", e.what, err)
	}
}
