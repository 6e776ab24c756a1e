// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package sandbox is the shim's side of a sandbox: it makes a container's
// cgroup and namespaces, spawns a process in them, hands the process what it
// needs, lets it go, ends it and reaps it. The other side is package stage.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/cgroup"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// Stdio are the guest's ends of its stdio; nil is /dev/null. With a terminal
// all three are the pty's other end. The sandbox duplicates what it needs: the
// caller closes its own.
type Stdio struct{ Stdin, Stdout, Stderr *os.File }

// Options are the node's, not the container's.
type Options struct {
	// Cache is the node's compile cache.
	Cache *cache.Cache
	// Log takes one line for the operator from a sandbox, already bounded and
	// rate limited. It may be nil and must not block.
	Log func(line string)
	// Exposed are the addresses to listen on for the ports that the image
	// exposes, asked for if config.Network has it so and the module accepts.
	Exposed func(ctx context.Context) ([]policy.ListenRule, error)
}

// Container is what outlives one process: the cgroup, the namespaces.
type Container struct {
	config  *config.Container
	options Options
	cgroup  *cgroup.Manager
	limit   *memoryLimit
	init    *Process
	own     int  // CLONE_NEW… flags of its own namespaces, but the user's
	userns  bool // in a user namespace

	// births keeps processes from being born into a frozen cgroup, where the
	// kernel would stop them and the forking thread with them, and into one
	// that is being removed.
	births  sync.RWMutex
	paused  bool // guarded by births
	removed bool // guarded by births

	mu        sync.Mutex
	oomKilled bool // what the cgroup said last; guarded by mu
	deleted   bool // guarded by mu
}

// Pause freezes every process of the container.
func (c *Container) Pause(context.Context) error {
	c.births.Lock()
	defer c.births.Unlock()
	if err := c.cgroup.Freeze(); err != nil {
		return err
	}
	c.paused = true
	return nil
}

// Resume lets a paused container go on.
func (c *Container) Resume(context.Context) error {
	c.births.Lock()
	defer c.births.Unlock()
	if err := c.cgroup.Thaw(); err != nil {
		return err
	}
	c.paused = false
	return nil
}

// letDie lets the kernel end a process that has been killed: on cgroup v1 a
// frozen one has to be thawed for it. If init ends, the container does; for an
// exec's end the rest of the container is frozen again.
func (c *Container) letDie(p *Process) error {
	c.births.Lock()
	defer c.births.Unlock()
	if !c.paused {
		return nil
	}
	if err := c.cgroup.Thaw(); err != nil {
		return err
	}
	if p == c.init {
		c.paused = false
		return nil
	}
	select {
	case <-p.done:
	case <-time.After(time.Second):
	}
	return c.cgroup.Freeze()
}

// Update changes the limits that r names.
func (c *Container) Update(_ context.Context, r *specs.LinuxResources) error {
	warnings, err := c.cgroup.Update(r)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.say(w)
	}
	limit, err := c.cgroup.MemoryLimit()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deleted {
		c.limit.set(limit)
	}
	return nil
}

// Stats returns the kernel's figures: Metrics of containerd/cgroups/v3's
// cgroup1/stats or cgroup2/stats.
func (c *Container) Stats(context.Context) (any, error) { return c.cgroup.Stats() }

// Pids returns the host pids of the container's processes.
func (c *Container) Pids(context.Context) ([]int, error) {
	if c.cgroup.None() {
		return c.pids(), nil
	}
	return c.cgroup.Pids()
}

// KillAll ends every process of the container, also of a paused one.
func (c *Container) KillAll(ctx context.Context) error {
	c.births.Lock()
	defer c.births.Unlock()
	if err := c.cgroup.Kill(ctx); err != nil {
		return err
	}
	c.endFirst()
	c.paused = false // killing thaws
	return nil
}

// OOMKilled reports whether the kernel killed in the container for want of memory.
func (c *Container) OOMKilled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.oomKilledLocked()
}

func (c *Container) oomKilledLocked() bool {
	if !c.deleted && !c.oomKilled {
		c.oomKilled = c.cgroup.OOMKills() > 0
	}
	return c.oomKilled
}

// Delete ends what is left, runs the poststop hooks and removes the cgroup and
// what else was made on the host. A second call does nothing.
func (c *Container) Delete(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deleted {
		return nil
	}
	c.oomKilledLocked()
	c.births.Lock()
	c.removed = true
	c.births.Unlock()
	if err := c.cgroup.Destroy(ctx); err != nil {
		return err
	}
	c.endFirst()
	select {
	case <-c.init.done:
	case <-ctx.Done():
		return fmt.Errorf("process %d is killed and does not end: %w", c.init.pid, errors.Join(ctx.Err(), errdefs.ErrUnavailable))
	}
	c.deleted = true
	c.limit.close()
	if h := c.config.Hooks; h != nil {
		poststop(ctx, h.Poststop, c.state(specs.StateStopped, 0), c.say)
	}
	return removeRecord(c.config.Bundle)
}

// say tells the operator.
func (c *Container) say(line string) {
	if c.options.Log != nil {
		c.options.Log(line)
	}
}
