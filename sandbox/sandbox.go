// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package sandbox is the shim's side of a sandbox: it makes a container's
// cgroup and namespaces, spawns a process in them, hands the process what it
// needs, lets it go, ends it and reaps it. The other side is package stage.
package sandbox

import (
	"context"
	"os"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// Stdio are the guest's ends of its stdio; nil is /dev/null. With a terminal
// all three are the pty's other end. The sandbox duplicates what it needs: the
// caller closes its own.
type Stdio struct{ Stdin, Stdout, Stderr *os.File }

// Options are the node's, not the container's.
type Options struct {
	// Cache is the node's compile cache.
	Cache any
	// Log takes one line for the operator from a sandbox, already bounded and
	// rate limited. It may be nil and must not block.
	Log func(line string)
}

// Container is what outlives one process: the cgroup, the namespaces.
type Container struct{}

// Process is one sandbox process: a container's init, or an exec.
type Process struct{}

// Exit is how a process ended.
type Exit struct {
	// Status is the guest's exit code, 128 and the signal's number when a
	// signal ended it, 134 after a trap.
	Status uint32
	Time   time.Time
}

// Create makes the cgroup, the namespaces and the process and returns when the
// module is loaded, not started. An error wraps a sentinel of errdefs, its text
// is one sentence for the user, and nothing is left behind.
func Create(ctx context.Context, c *config.Container, io Stdio, o Options) (*Container, *Process, error) {
	return nil, nil, errdefs.ErrNotImplemented
}

// Remove does what Delete does, for a container whose shim is gone, from the
// record in the bundle. Nothing left is no error.
func Remove(ctx context.Context, bundle string) error { return errdefs.ErrNotImplemented }

// Exec makes a further process in the container, ready and not started.
func (c *Container) Exec(ctx context.Context, p *config.Process, io Stdio) (*Process, error) {
	return nil, errdefs.ErrNotImplemented
}

// Pause freezes every process of the container.
func (c *Container) Pause(ctx context.Context) error { return errdefs.ErrNotImplemented }

// Resume lets a paused container go on.
func (c *Container) Resume(ctx context.Context) error { return errdefs.ErrNotImplemented }

// Update changes the limits that r names.
func (c *Container) Update(ctx context.Context, r *specs.LinuxResources) error {
	return errdefs.ErrNotImplemented
}

// Stats returns the kernel's figures: Metrics of containerd/cgroups/v3's
// cgroup1/stats or cgroup2/stats.
func (c *Container) Stats(ctx context.Context) (any, error) { return nil, errdefs.ErrNotImplemented }

// Pids returns the host pids of the container's processes.
func (c *Container) Pids(ctx context.Context) ([]int, error) { return nil, errdefs.ErrNotImplemented }

// KillAll ends every process of the container, also of a paused one.
func (c *Container) KillAll(ctx context.Context) error { return errdefs.ErrNotImplemented }

// OOMKilled reports whether the kernel killed in the container for want of memory.
func (c *Container) OOMKilled() bool { return false }

// Delete ends what is left, runs the poststop hooks and removes the cgroup and
// what else was made on the host. A second call does nothing.
func (c *Container) Delete(ctx context.Context) error { return errdefs.ErrNotImplemented }

// Pid is the process's pid as the host sees it.
func (p *Process) Pid() int { return 0 }

// Start lets the guest run; for init with the startContainer and poststart hooks.
func (p *Process) Start(ctx context.Context) error { return errdefs.ErrNotImplemented }

// Signal does to the process what sig does to a Linux process without
// handlers: a signal whose default action is to end ends it with status
// 128+sig, SIGSTOP and SIGCONT are real, the rest does nothing.
// After the exit the error is errdefs.ErrNotFound.
func (p *Process) Signal(sig unix.Signal) error { return errdefs.ErrNotImplemented }

// Done is closed when the process has been reaped.
func (p *Process) Done() <-chan struct{} { return nil }

// Exit is how the process ended, valid after Done.
func (p *Process) Exit() Exit { return Exit{} }
