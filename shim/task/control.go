// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"fmt"
	"time"

	events "github.com/containerd/containerd/api/events"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/shim/stdio"
)

// Status is a process as State tells of it.
type Status struct {
	// ID is the container's for init.
	ID     string
	Bundle string
	// Pid is 0 for an exec that was not started, and kept after the exit.
	Pid        int
	State      State
	Stdio      stdio.Request
	ExitStatus uint32
	ExitedAt   time.Time
}

// Status of init or an exec. It waits for nothing.
func (c *Container) Status(execID string) (Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.find(execID)
	if err != nil {
		return Status{}, err
	}
	return c.status(p), nil
}

// status is called with c.mu held.
func (c *Container) status(p *process) Status {
	id := p.id
	if id == "" {
		id = c.id
	}
	return Status{
		ID: id, Bundle: c.bundle, Pid: p.pid, State: p.state, Stdio: p.stdio,
		ExitStatus: p.status, ExitedAt: p.exitedAt,
	}
}

// Pause freezes every process of the container.
func (c *Container) Pause(ctx context.Context) error {
	return c.freeze(pause, Paused, c.sandbox.Pause, ctx, "/tasks/paused", &events.TaskPaused{ContainerID: c.id})
}

// Resume lets a paused container go on.
func (c *Container) Resume(ctx context.Context) error {
	return c.freeze(resume, Running, c.sandbox.Resume, ctx, "/tasks/resumed", &events.TaskResumed{ContainerID: c.id})
}

// freeze carries out v, which leads to state to. Who exits meanwhile is stopped.
func (c *Container) freeze(v verb, to State, do func(context.Context) error, ctx context.Context, topic string, event proto.Message) error {
	c.freezing.Lock()
	defer c.freezing.Unlock()
	if err := c.check(v); err != nil {
		return err
	}
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s %s: %w", v, c.init.name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.init.state.check(v, c.init.name); err != nil {
		return err
	}
	c.init.state = to
	c.publish(topic, event)
	return nil
}

// check refuses what init's state does not allow.
func (c *Container) check(v verb) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.init.state.check(v, c.init.name)
}

// Update changes the limits that r names.
func (c *Container) Update(ctx context.Context, r *specs.LinuxResources) error {
	if err := c.check(update); err != nil {
		return err
	}
	if err := c.sandbox.Update(ctx, r); err != nil {
		return fmt.Errorf("update %s: %w", c.init.name, err)
	}
	return nil
}

// Stats are the kernel's figures, from Create to Delete.
func (c *Container) Stats(ctx context.Context) (proto.Message, error) {
	c.mu.Lock()
	deleted := c.init.state == Deleted
	c.mu.Unlock()
	if deleted {
		return nil, fmt.Errorf("container %s is deleted: %w", c.id, errdefs.ErrNotFound)
	}
	stats, err := c.sandbox.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the figures of %s: %w", c.init.name, err)
	}
	return stats, nil
}

// Pids returns the host pids of the container's processes, each with its exec's
// id or "". Of an exited container that is init's: containerd takes a task
// without any for leaked.
func (c *Container) Pids(ctx context.Context) (map[int]string, error) {
	c.mu.Lock()
	ids := map[int]string{}
	for _, p := range c.execs {
		if p.state == Running {
			ids[p.pid] = p.id
		}
	}
	state := c.init.state
	c.mu.Unlock()
	if state == Stopped {
		return map[int]string{c.init.pid: ""}, nil
	}
	pids, err := c.sandbox.Pids(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the processes of %s: %w", c.init.name, err)
	}
	result := map[int]string{c.init.pid: ""}
	for _, pid := range pids {
		result[pid] = ids[pid]
	}
	return result, nil
}

// CloseIO ends the input of init or an exec.
func (c *Container) CloseIO(execID string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.find(execID)
	if err != nil {
		return err
	}
	p.stdinClosed = true
	if p.io != nil {
		p.io.CloseStdin()
	}
	return nil
}

// Resize sets the terminal's size in characters, for an exec that is not
// started the one it will have.
func (c *Container) Resize(execID string, width, height uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.find(execID)
	if err != nil {
		return err
	}
	p.width, p.height = width, height
	if p.io == nil {
		return nil
	}
	if err := p.io.Resize(width, height); err != nil {
		return fmt.Errorf("resize the terminal of %s: %w", p.name, err)
	}
	return nil
}

// Stop ends everything in the container, in whatever state, and returns when
// init's exit is published.
func (c *Container) Stop(ctx context.Context) error {
	if err := c.sandbox.KillAll(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", c.init.name, err)
	}
	_, _, err := c.Wait(ctx, "")
	return err
}
