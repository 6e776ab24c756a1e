// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"fmt"

	events "github.com/containerd/containerd/api/events"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/shim/stdio"
)

// Exec adds a process to the container, which Start makes and lets go.
func (c *Container) Exec(execID string, spec *specs.Process, io stdio.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.mayExec(); err != nil {
		return err
	}
	if c.execs[execID] != nil {
		return fmt.Errorf("exec %s of container %s: %w", execID, c.id, errdefs.ErrAlreadyExists)
	}
	p := &process{
		id:    execID,
		name:  fmt.Sprintf("exec %s of container %s", execID, c.id),
		stdio: io,
		spec:  spec,
		done:  make(chan struct{}),
	}
	if size := spec.ConsoleSize; size != nil {
		p.width, p.height = uint32(size.Width), uint32(size.Height)
	}
	c.execs[execID] = p
	c.publish("/tasks/exec-added", &events.TaskExecAdded{ContainerID: c.id, ExecID: execID})
	return nil
}

// startExec makes the exec's stdio and process and lets it go. p.starting is
// set, so nobody else touches p.proc and p.io.
func (c *Container) startExec(ctx context.Context, p *process) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(c.ending, func() {
		cancel(fmt.Errorf("container %s has stopped: %w", c.id, errdefs.ErrFailedPrecondition))
	})
	defer stop()
	defer func() {
		if err != nil && c.ending.Err() != nil {
			err = Stopped.check(exec, c.init.name)
		}
	}()
	io, err := stdio.Open(ctx, p.stdio)
	if err != nil {
		return err
	}
	proc, err := c.sandbox.Exec(ctx, p.spec, io)
	if err != nil {
		io.Abort()
		return err
	}
	io.Started()
	c.mu.Lock()
	p.proc, p.io, p.pid = proc, io, proc.Pid()
	width, height, stdinClosed := p.width, p.height, p.stdinClosed
	c.mu.Unlock()
	if width != 0 || height != 0 {
		_ = io.Resize(width, height)
	}
	if stdinClosed {
		io.CloseStdin()
	}
	// Who came up after the last look at the cgroup is not seen there: what is
	// ending when the process exists is ended here.
	err = c.ending.Err()
	if err == nil {
		err = proc.Start(ctx)
	}
	if err != nil {
		_ = proc.Signal(unix.SIGKILL)
		<-proc.Done()
		io.Abort()
		c.mu.Lock()
		p.proc, p.io, p.pid = nil, nil, 0
		c.mu.Unlock()
		return err
	}
	return nil
}
