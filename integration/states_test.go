// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"strings"
	"syscall"
	"testing"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
)

// call is a request for a container, as it crosses containerd unchanged: its
// client refuses some by itself.
type call struct {
	name string
	do   func(context.Context, tasks.TasksClient, string) error
}

// calls are all that change a container, in an order in which none of them
// that a state allows is among them twice.
var calls = []call{
	{"start", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Start(ctx, &tasks.StartRequest{ContainerID: id})
		return err
	}},
	{"pause", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Pause(ctx, &tasks.PauseTaskRequest{ContainerID: id})
		return err
	}},
	{"resume", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Resume(ctx, &tasks.ResumeTaskRequest{ContainerID: id})
		return err
	}},
	{"update", func(ctx context.Context, c tasks.TasksClient, id string) error {
		shares := uint64(512)
		limits, err := typeurl.MarshalAnyToProto(&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &shares}})
		if err != nil {
			return err
		}
		_, err = c.Update(ctx, &tasks.UpdateTaskRequest{ContainerID: id, Resources: limits})
		return err
	}},
	{"exec", func(ctx context.Context, c tasks.TasksClient, id string) error {
		process, err := typeurl.MarshalAnyToProto(&specs.Process{Args: []string{"/box.wasm", "true"}, Cwd: "/"})
		if err != nil {
			return err
		}
		if _, err := c.Exec(ctx, &tasks.ExecProcessRequest{ContainerID: id, ExecID: "tried", Spec: process}); err != nil {
			return err
		}
		_, err = c.DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: id, ExecID: "tried"})
		return err
	}},
	{"kill", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(syscall.SIGWINCH)})
		return err
	}},
	{"checkpoint", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Checkpoint(ctx, &tasks.CheckpointTaskRequest{ContainerID: id})
		return err
	}},
	{"stats", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Metrics(ctx, &tasks.MetricsRequest{Filters: []string{"id==" + id}})
		return err
	}},
	{"pids", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.ListPids(ctx, &tasks.ListPidsRequest{ContainerID: id})
		return err
	}},
	{"get", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Get(ctx, &tasks.GetRequest{ContainerID: id})
		return err
	}},
	{"kill an exec that is not there", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Kill(ctx, &tasks.KillRequest{ContainerID: id, ExecID: "none", Signal: 9})
		return err
	}},
	{"start an exec that is not there", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Start(ctx, &tasks.StartRequest{ContainerID: id, ExecID: "none"})
		return err
	}},
	{"delete", func(ctx context.Context, c tasks.TasksClient, id string) error {
		_, err := c.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
		return err
	}},
}

// outcome is the code of an error, and words that callers look for in it.
type outcome struct {
	is    func(error) bool
	words string
}

var (
	fine      = outcome{is: func(err error) bool { return err == nil }}
	created   = outcome{errdefs.IsFailedPrecondition, "it is created"}
	running   = outcome{errdefs.IsFailedPrecondition, "it is running"}
	paused    = outcome{errdefs.IsFailedPrecondition, "paused"}
	stopped   = outcome{errdefs.IsFailedPrecondition, "it is stopped"}
	finished  = outcome{errdefs.IsNotFound, "process already finished"}
	unknown   = outcome{errdefs.IsNotFound, "not found"}
	never     = outcome{errdefs.IsNotImplemented, ""}
	untested  = outcome{}
	statesOf  = []string{"created", "running", "paused", "stopped", "deleted"}
	tableRows = map[string][5]outcome{
		"start":                           {untested, running, paused, stopped, unknown},
		"pause":                           {created, untested, paused, stopped, unknown},
		"resume":                          {created, running, untested, stopped, unknown},
		"update":                          {fine, fine, fine, finished, unknown},
		"exec":                            {fine, fine, paused, stopped, unknown},
		"kill":                            {fine, fine, fine, finished, unknown},
		"checkpoint":                      {never, never, never, never, unknown},
		"stats":                           {fine, fine, fine, fine, fine},
		"pids":                            {fine, fine, fine, fine, unknown},
		"get":                             {fine, fine, fine, fine, unknown},
		"kill an exec that is not there":  {unknown, unknown, unknown, unknown, unknown},
		"start an exec that is not there": {unknown, unknown, unknown, unknown, unknown},
		"delete":                          {untested, running, paused, untested, unknown},
	}
)

// TestWrongStates makes every call in every state, past containerd's client.
func TestWrongStates(t *testing.T) {
	node := harness.Shared(t)
	service := node.Client.TaskService()
	task := node.Guest(t, "box", "wait").Interactive().Create()
	for i, state := range statesOf {
		switch state {
		case "running":
			task.Start()
		case "paused":
			task.Pause()
		case "stopped":
			task.Resume()
			task.CloseStdin()
			task.Wait().Exits(0)
		case "deleted":
			task.Delete()
		}
		for _, c := range calls {
			want := tableRows[c.name][i]
			if want.is == nil {
				continue // what the state is left by
			}
			ctx := namespaces.WithNamespace(t.Context(), node.Namespace)
			err := errgrpc.ToNative(c.do(ctx, service, task.ID))
			switch {
			case !want.is(err):
				t.Errorf("%s, %s: %v", state, c.name, err)
			case err != nil && !strings.Contains(err.Error(), want.words):
				t.Errorf("%s, %s: %v, want %q in it", state, c.name, err, want.words)
			}
		}
	}
}

// TestWrongStatesOfExec is the same for an exec.
func TestWrongStatesOfExec(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "wait").Interactive().Start()
	exec := task.Exec("box", "wait").Interactive()
	if err := exec.TryAdd(); err != nil {
		t.Fatal(err)
	}
	service, ctx := node.Client.TaskService(), namespaces.WithNamespace(t.Context(), node.Namespace)
	start := func() error {
		_, err := service.Start(ctx, &tasks.StartRequest{ContainerID: task.ID, ExecID: exec.Client().ID()})
		return errgrpc.ToNative(err)
	}
	kill := func() error {
		_, err := service.Kill(ctx, &tasks.KillRequest{ContainerID: task.ID, ExecID: exec.Client().ID(), Signal: uint32(syscall.SIGWINCH)})
		return errgrpc.ToNative(err)
	}
	remove := func() error {
		_, err := service.DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: task.ID, ExecID: exec.Client().ID()})
		return errgrpc.ToNative(err)
	}
	again := func() error {
		process, err := typeurl.MarshalAnyToProto(&specs.Process{Args: []string{"/box.wasm"}, Cwd: "/"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = service.Exec(ctx, &tasks.ExecProcessRequest{ContainerID: task.ID, ExecID: exec.Client().ID(), Spec: process})
		return errgrpc.ToNative(err)
	}
	check := func(state string, err error, is func(error) bool) {
		t.Helper()
		if !is(err) {
			t.Errorf("%s: %v", state, err)
		}
	}
	check("kill before the start", kill(), errdefs.IsFailedPrecondition)
	check("the same id again", again(), errdefs.IsAlreadyExists)
	check("start", start(), fine.is)
	check("start twice", start(), errdefs.IsFailedPrecondition)
	check("delete while running", remove(), errdefs.IsFailedPrecondition)
	exec.CloseStdin()
	exec.Wait().Exits(0)
	check("start after the exit", start(), errdefs.IsFailedPrecondition)
	check("kill after the exit", kill(), errdefs.IsNotFound)
	late := task.Exec("box", "true")
	if err := late.TryAdd(); err != nil {
		t.Fatal(err)
	}
	task.CloseStdin()
	task.Wait().Exits(0)
	check("start after init's exit", late.Client().Start(ctx), errdefs.IsFailedPrecondition)
	exec.Delete()
	check("delete twice", remove(), errdefs.IsNotFound)
	late.Delete()
	task.Delete()
}
