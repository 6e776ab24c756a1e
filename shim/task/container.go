// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package task is one container as containerd sees it: its processes, their
// states, and the events that tell of them in the right order.
package task

import (
	"context"
	"fmt"
	"sync"
	"time"

	events "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"containerd-shim-wazero/shim/record"
	"containerd-shim-wazero/shim/stdio"
)

// Container is a container from its creation to its deletion.
//
//   - A state changes and its event is queued under mu, so that events are in
//     the order of the changes, and whoever hears of one finds the state so.
//   - mu is never held while anything is waited for: State always answers.
//   - Execs are exited, and their exits published, before init's is.
type Container struct {
	id      string
	bundle  string
	sandbox Sandbox
	events  Publisher
	// ending is cancelled when init has exited: it stops execs on their way up.
	ending context.Context
	end    context.CancelFunc

	// freezing is held while the container is paused or resumed. It is taken
	// before mu.
	freezing sync.Mutex

	mu      sync.Mutex
	changed *sync.Cond          // of mu: some process's state or starting changed
	init    *process            // guarded by mu
	execs   map[string]*process // guarded by mu
	oom     bool                // guarded by mu: TaskOOM was published
}

// Config is what a Container is made of.
type Config struct {
	ID, Bundle string
	Rootfs     []*types.Mount
	Stdio      stdio.Request
	IO         *stdio.IO
	Sandbox    Sandbox
	Init       Process
	Events     Publisher
	Ended      func() // called once init's exit is published
}

// New returns the container whose init is ready to start, and publishes its creation.
func New(cfg Config) *Container {
	c := &Container{
		id:      cfg.ID,
		bundle:  cfg.Bundle,
		sandbox: cfg.Sandbox,
		events:  cfg.Events,
		execs:   make(map[string]*process),
		init: &process{
			name:  "container " + cfg.ID,
			stdio: cfg.Stdio,
			io:    cfg.IO,
			proc:  cfg.Init,
			pid:   cfg.Init.Pid(),
			done:  make(chan struct{}),
		},
	}
	c.changed = sync.NewCond(&c.mu)
	c.ending, c.end = context.WithCancel(context.Background())
	c.publish("/tasks/create", &events.TaskCreate{
		ContainerID: c.id,
		Bundle:      c.bundle,
		Rootfs:      cfg.Rootfs,
		IO: &events.TaskIO{
			Stdin: cfg.Stdio.Stdin, Stdout: cfg.Stdio.Stdout, Stderr: cfg.Stdio.Stderr, Terminal: cfg.Stdio.Terminal,
		},
		Pid: uint32(c.init.pid),
	})
	go func() {
		c.watch(c.init)
		cfg.Ended()
	}()
	return c
}

// Pid is init's, also after its exit.
func (c *Container) Pid() int { return c.init.pid }

// Bundle is the container's folder.
func (c *Container) Bundle() string { return c.bundle }

// Ended reports whether init's exit has been published.
func (c *Container) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.init.state == Stopped || c.init.state == Deleted
}

// find returns init for "", else the exec. c.mu is held.
func (c *Container) find(exec string) (*process, error) {
	if exec == "" {
		return c.init, nil
	}
	if p := c.execs[exec]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("container %s has no exec %s: %w", c.id, exec, errdefs.ErrNotFound)
}

func (c *Container) publish(topic string, event proto.Message) { c.events.Publish(topic, event) }

// save keeps what is known of init in the bundle.
func (c *Container) save(r record.Record) {
	if err := record.Save(c.bundle, r); err != nil {
		log.L.WithError(err).Errorf("keep the exit status of %s", c.init.name)
	}
}

// watch waits for the process's exit, and makes it known.
func (c *Container) watch(p *process) {
	<-p.proc.Done()
	p.io.Exited()
	if p == c.init {
		c.endExecs()
	}
	oom := c.sandbox.OOMKilled()
	c.mu.Lock()
	defer c.mu.Unlock()
	for p.starting {
		c.changed.Wait()
	}
	p.status, p.exitedAt = p.proc.Exit()
	if p == c.init {
		// In the bundle before anybody hears of it: the shim may die at any time.
		c.save(record.Record{Pid: p.pid, Exited: true, Status: p.status, Time: p.exitedAt})
	}
	p.state = Stopped
	if oom && !c.oom {
		c.oom = true
		c.publish("/tasks/oom", &events.TaskOOM{ContainerID: c.id})
	}
	id := p.id
	if id == "" {
		id = c.id
	}
	c.publish("/tasks/exit", &events.TaskExit{
		ContainerID: c.id, ID: id, Pid: uint32(p.pid), ExitStatus: p.status, ExitedAt: timestamppb.New(p.exitedAt),
	})
	close(p.done)
	c.changed.Broadcast()
}

// endExecs ends every exec, now that init is gone, and returns when all are
// stopped. Where init was pid 1 the kernel has done it already.
func (c *Container) endExecs() {
	c.end()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.sandbox.KillAll(ctx); err != nil {
		log.L.WithError(err).Errorf("end what is left in container %s", c.id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		alive := false
		for _, p := range c.execs {
			alive = alive || p.alive()
		}
		if !alive {
			return
		}
		c.changed.Wait()
	}
}

// Start lets init or an exec go and returns its pid.
func (c *Container) Start(ctx context.Context, execID string) (int, error) {
	c.mu.Lock()
	p, err := c.find(execID)
	if err == nil {
		err = c.mayStart(p)
	}
	if err != nil {
		c.mu.Unlock()
		return 0, err
	}
	p.starting = true
	c.mu.Unlock()

	if p == c.init {
		// A start is not undone because the caller went away.
		err = p.proc.Start(context.WithoutCancel(ctx))
	} else {
		err = c.startExec(ctx, p)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	p.starting = false
	defer c.changed.Broadcast()
	if err != nil {
		return 0, err
	}
	p.state = Running
	if p == c.init {
		c.publish("/tasks/start", &events.TaskStart{ContainerID: c.id, Pid: uint32(p.pid)})
	} else {
		c.publish("/tasks/exec-started", &events.TaskExecStarted{ContainerID: c.id, ExecID: p.id, Pid: uint32(p.pid)})
		go c.watch(p)
	}
	return p.pid, nil
}

// mayStart is called with c.mu held.
func (c *Container) mayStart(p *process) error {
	if p.starting || p.deleting {
		return fmt.Errorf("cannot start %s: another call starts or deletes it: %w", p.name, errdefs.ErrFailedPrecondition)
	}
	if p != c.init {
		if err := c.mayExec(); err != nil {
			return err
		}
	}
	return p.state.check(start, p.name)
}

// mayExec is called with c.mu held.
func (c *Container) mayExec() error {
	if c.ending.Err() != nil {
		return Stopped.check(exec, c.init.name)
	}
	return c.init.state.check(exec, c.init.name)
}

// Kill sends the signal to init or an exec, with all to every process of the container.
func (c *Container) Kill(ctx context.Context, execID string, sig unix.Signal, all bool) error {
	if sig < 0 || sig > 64 {
		return fmt.Errorf("signal %d does not exist: %w", sig, errdefs.ErrInvalidArgument)
	}
	c.mu.Lock()
	p, err := c.find(execID)
	if err == nil {
		err = p.state.check(kill, p.name)
	}
	if err == nil && p.proc == nil {
		err = fmt.Errorf("cannot kill %s: it is not started: %w", p.name, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	proc, paused := p.proc, p.state == Paused
	var others []Process
	if all {
		for _, o := range c.execs {
			if o != p && o.state == Running {
				others = append(others, o.proc)
			}
		}
	}
	c.mu.Unlock()

	if sig == unix.SIGKILL && (all || paused) {
		return c.sandbox.KillAll(ctx)
	}
	for _, o := range others {
		if err := o.Signal(sig); err != nil && !errdefs.IsNotFound(err) {
			log.G(ctx).WithError(err).Warnf("signal an exec of container %s", c.id)
		}
	}
	if err := proc.Signal(sig); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	return nil
}

// Wait returns the exit status of init or an exec once it has stopped.
func (c *Container) Wait(ctx context.Context, execID string) (status uint32, at time.Time, err error) {
	c.mu.Lock()
	p, err := c.find(execID)
	c.mu.Unlock()
	if err != nil {
		return 0, time.Time{}, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, time.Time{}, fmt.Errorf("wait for %s: %w", p.name, ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.proc == nil {
		return 0, time.Time{}, fmt.Errorf("%s was deleted before it ran: %w", p.name, errdefs.ErrNotFound)
	}
	return p.status, p.exitedAt, nil
}

// Delete removes a stopped process and returns what it was. A created init is
// killed first. After init's Delete the container is gone.
func (c *Container) Delete(ctx context.Context, execID string) (Status, error) {
	c.mu.Lock()
	p, err := c.find(execID)
	if err == nil {
		err = p.state.check(remove, p.name)
	}
	if err == nil && (p.starting || p.deleting) {
		err = fmt.Errorf("cannot delete %s: another call starts or deletes it: %w", p.name, errdefs.ErrFailedPrecondition)
	}
	if err != nil {
		c.mu.Unlock()
		return Status{}, err
	}
	p.deleting = true
	c.mu.Unlock()

	if p == c.init {
		err = c.deleteInit(ctx)
	} else if p.io != nil {
		err = p.io.Wait(ctx)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	p.deleting = false
	if err != nil {
		return Status{}, err
	}
	status := c.status(p)
	p.state = Deleted
	if p == c.init {
		c.save(record.Record{Pid: p.pid, Exited: true, Status: p.status, Time: p.exitedAt, Removed: true})
		c.publish("/tasks/delete", &events.TaskDelete{
			ContainerID: c.id, ID: c.id, Pid: uint32(p.pid), ExitStatus: p.status, ExitedAt: timestamppb.New(p.exitedAt),
		})
		for _, e := range c.execs {
			c.forget(e)
		}
		return status, nil
	}
	c.forget(p)
	return status, nil
}

// forget drops an exec, and wakes who waits for one that never ran. c.mu is held.
func (c *Container) forget(p *process) {
	if c.execs[p.id] != p {
		return // by another Delete
	}
	delete(c.execs, p.id)
	if p.proc == nil {
		close(p.done)
	}
}

func (c *Container) deleteInit(ctx context.Context) error {
	select {
	case <-c.init.done:
	default:
		if err := c.sandbox.KillAll(ctx); err != nil {
			return fmt.Errorf("delete %s: %w", c.init.name, err)
		}
		if _, _, err := c.Wait(ctx, ""); err != nil {
			return err
		}
	}
	// What is removed stays removed, whether or not the caller still waits.
	if err := c.sandbox.Delete(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("delete %s: %w", c.init.name, err)
	}
	return c.init.io.Wait(ctx)
}
