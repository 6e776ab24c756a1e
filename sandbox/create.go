// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/cgroup"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/fork"
	"containerd-shim-wazero/sandbox/privilege"
	"containerd-shim-wazero/sandbox/seccomp"
)

// Create makes the cgroup, the namespaces and the process and returns when the
// module is loaded, not started. An error wraps a sentinel of errdefs, its text
// is one sentence for the user, and nothing is left behind.
func Create(ctx context.Context, c *config.Container, io Stdio, o Options) (_ *Container, _ *Process, err error) {
	filter, err := seccomp.Build(c.Process.Seccomp)
	if err != nil {
		return nil, nil, err
	}
	ns, err := openNamespaces(&c.Namespaces)
	if err != nil {
		return nil, nil, err
	}
	defer ns.close()
	setup, trees, err := prepare(c, ns, io)
	if err != nil {
		return nil, nil, err
	}
	defer closeAll(trees)
	k := &Container{config: c, options: o, own: ns.own, userns: ns.user != nil}
	if err := k.reserve(ctx); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			k.undo(context.WithoutCancel(ctx))
		}
	}()
	spec := &fork.Spec{Join: ns.join, New: ns.new, Root: k.userns}
	p, err := k.spawn(spec, &c.Process, io)
	if err != nil {
		return nil, nil, err
	}
	k.init = p
	if err := k.recordFirst(); err != nil {
		return nil, nil, err
	}
	if err := p.introduce(ctx, setup, trees, &c.Process, filter); err != nil {
		return nil, nil, err
	}
	return k, p, nil
}

// reserve makes what the container has before its first process: the record by
// which it is found again, the cgroup, the page with its memory limit.
func (c *Container) reserve(ctx context.Context) (err error) {
	if c.cgroup, err = cgroup.New(c.config.Cgroup); err != nil {
		return err
	}
	if err := c.writeRecord(nil); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			c.undo(context.WithoutCancel(ctx))
		}
	}()
	warnings, err := c.cgroup.Create(ctx)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.say(w)
	}
	if err := c.checkHeld(); err != nil {
		return err
	}
	limit, err := c.cgroup.MemoryLimit()
	if err != nil {
		return err
	}
	if err := checkMemory(limit); err != nil {
		return err
	}
	if c.limit, err = newMemoryLimit(); err != nil {
		return err
	}
	c.limit.set(limit)
	return nil
}

// undo removes what a failed Create has made.
func (c *Container) undo(ctx context.Context) {
	if c.init != nil {
		c.init.abort()
	}
	if err := c.cgroup.Destroy(ctx); err != nil {
		c.say(err.Error()) // the record stays for Remove
		return
	}
	c.limit.close()
	if err := removeRecord(c.config.Bundle); err != nil {
		c.say(err.Error())
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Exec makes a further process in the container, ready and not started.
func (c *Container) Exec(ctx context.Context, p *config.Process, io Stdio) (*Process, error) {
	filter, err := seccomp.Build(p.Seccomp)
	if err != nil {
		return nil, err
	}
	spec, err := c.init.joining()
	if err != nil {
		return nil, err
	}
	defer spec.Join[0].Namespace.Close()
	if err := c.cgroup.Room(); err != nil {
		return nil, err
	}
	proc, err := c.spawn(spec, p, io)
	if err != nil {
		return nil, err
	}
	if err := proc.introduce(ctx, nil, nil, p, filter); err != nil {
		proc.abort()
		return nil, err
	}
	return proc, nil
}

// joining is how a process gets into all of p's namespaces, by p's pidfd. The
// caller closes that.
func (p *Process) joining() (*fork.Spec, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd == nil {
		return nil, fmt.Errorf("the container has ended: %w", errdefs.ErrFailedPrecondition)
	}
	fd, err := unix.FcntlInt(p.pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicating a pidfd: %w", err)
	}
	pidfd := os.NewFile(uintptr(fd), "init")
	c := p.container
	spec := &fork.Spec{Root: c.userns, Join: []fork.Join{{Namespace: pidfd, Flags: c.own, What: "the container's namespaces"}}}
	if c.userns {
		spec.Join = append(spec.Join, fork.Join{Namespace: pidfd, Flags: unix.CLONE_NEWUSER, What: "the container's user namespace"})
	}
	return spec, nil
}

// spawn starts a sandbox process, born in the container's cgroup.
func (c *Container) spawn(spec *fork.Spec, p *config.Process, io Stdio) (_ *Process, err error) {
	conn, theirs, err := control.Pair()
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = theirs.Close()
		if err != nil {
			_ = conn.Close()
		}
	}()
	log, logEnd, err := newLog(c.options.Log)
	if err != nil {
		return nil, err
	}
	defer logEnd.Close()
	if err := c.equip(spec, p, io, logEnd, theirs); err != nil {
		return nil, err
	}
	child, err := c.bear(spec)
	if err != nil {
		return nil, fmt.Errorf("starting the sandbox process: %w", err)
	}
	proc := newProcess(c, child, conn, log)
	proc.limitTime(p)
	if err := c.setOOMScore(child.Pid); err != nil {
		proc.abort()
		return nil, err
	}
	return proc, nil
}

// equip fills in what the process executes, and with what.
func (c *Container) equip(spec *fork.Spec, p *config.Process, io Stdio, log, conn *os.File) error {
	exe, err := fork.Self()
	if err != nil {
		return err
	}
	null, err := devNull()
	if err != nil {
		return err
	}
	spec.Files = []*os.File{null, null, log, io.Stdin, io.Stdout, io.Stderr, conn}
	for i, f := range spec.Files {
		if f == nil {
			spec.Files[i] = null
		}
	}
	if spec.Calls, err = privilege.Calls(p, c.userns); err != nil {
		return err
	}
	limit, err := c.cgroup.MemoryLimit()
	if err != nil {
		return err
	}
	spec.Exe, spec.Args, spec.Env, spec.Terminal = exe, p.Args, environment(limit), -1
	if p.Terminal {
		spec.Terminal = config.FDStdin
	}
	return nil
}

// bear forks, unless the container is frozen or on its way out.
func (c *Container) bear(spec *fork.Spec) (*fork.Process, error) {
	c.births.RLock()
	defer c.births.RUnlock()
	if c.removed {
		return nil, fmt.Errorf("the container is being removed: %w", errdefs.ErrFailedPrecondition)
	}
	if c.paused {
		return nil, fmt.Errorf("the container is paused, resume it first: %w", errdefs.ErrFailedPrecondition)
	}
	birth, err := c.cgroup.Birth()
	if err != nil {
		return nil, err
	}
	defer birth.Close()
	spec.CgroupProcs, spec.CgroupDir = birth.Join, birth.Dir
	child, err := fork.Start(spec)
	var failed *fork.Error
	if errors.As(err, &failed) && failed.Step == fork.BecomingRoot {
		return nil, control.Errorf(errdefs.ErrInvalidArgument, "%v (a container's user namespace must map its user and group 0)", err)
	}
	return child, err
}

// setOOMScore tells the kernel how readily to kill a process.
func (c *Container) setOOMScore(pid int) error {
	if c.config.Cgroup.OOMScoreAdj == nil {
		return nil
	}
	warning, err := privilege.SetOOMScoreAdj(pid, *c.config.Cgroup.OOMScoreAdj)
	if warning != "" {
		c.say(warning)
	}
	return err
}
