// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/hook"
	"containerd-shim-wazero/sandbox/privilege"
)

// hasCreateHooks reports whether any hook runs between the mounts and the entry
// into the root.
func hasCreateHooks(h *specs.Hooks) bool {
	return h != nil && len(prestart(h))+len(h.CreateRuntime)+len(h.CreateContainer) > 0
}

// prestart are hooks that nobody should write any more, and bundles have.
func prestart(h *specs.Hooks) []specs.Hook {
	//lint:ignore SA1019 see above
	return h.Prestart
}

// runCreateHooks runs the hooks of the creation while the process waits: its
// mounts are made, and it still sees the host's files.
func (p *Process) runCreateHooks(ctx context.Context) error {
	f, err := p.receive(control.TypeMounted)
	if err != nil {
		return err
	}
	f.Close()
	c, hooks := p.container, p.container.config.Hooks
	state := c.state(specs.StateCreating, p.pid)
	if err := hook.Run(ctx, prestart(hooks), state, nil); err != nil {
		return fmt.Errorf("prestart %w", err)
	}
	if err := hook.Run(ctx, hooks.CreateRuntime, state, nil); err != nil {
		return fmt.Errorf("createRuntime %w", err)
	}
	if len(hooks.CreateContainer) > 0 {
		if err := c.runInside(ctx, p, hooks.CreateContainer, specs.StateCreating, false); err != nil {
			return fmt.Errorf("createContainer %w", err)
		}
	}
	return p.send(control.TypeGoOn, nil)
}

// runInside runs hooks in the namespaces of p. Once p has entered its root their
// programs are the container's, and run as its user within its limits.
func (c *Container) runInside(ctx context.Context, p *Process, hooks []specs.Hook, status specs.ContainerState, contained bool) error {
	spec, err := p.joining()
	if err != nil {
		return err
	}
	defer spec.Join[0].Namespace.Close()
	if contained {
		if spec.Calls, err = privilege.ProgramCalls(&c.config.Process, c.userns); err != nil {
			return err
		}
		birth, err := c.cgroup.Birth()
		if err != nil {
			return err
		}
		defer birth.Close()
		spec.CgroupProcs, spec.CgroupDir = birth.Join, birth.Dir
	}
	return hook.Run(ctx, hooks, c.state(status, innerPid(p.pid)), spec)
}

// innerPid is a process's pid in its own pid namespace.
func innerPid(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			pids := strings.Fields(list)
			_, _ = fmt.Sscan(pids[len(pids)-1], &pid)
		}
	}
	return pid
}

func (c *Container) state(status specs.ContainerState, pid int) specs.State {
	return specs.State{
		Version: specs.Version, ID: c.config.ID, Status: status, Pid: pid,
		Bundle: c.config.Bundle, Annotations: c.config.Annotations,
	}
}

// beforeStart runs what comes before the guest's first instruction.
func (c *Container) beforeStart(ctx context.Context) error {
	h := c.config.Hooks
	if h == nil || len(h.StartContainer) == 0 {
		return nil
	}
	if err := c.runInside(ctx, c.init, h.StartContainer, specs.StateCreated, true); err != nil {
		return fmt.Errorf("startContainer %w", err)
	}
	return nil
}

// afterStart runs what comes after the guest's start.
func (c *Container) afterStart(ctx context.Context) error {
	h := c.config.Hooks
	if h == nil || len(h.Poststart) == 0 {
		return nil
	}
	if err := hook.Run(ctx, h.Poststart, c.state(specs.StateRunning, c.init.pid), nil); err != nil {
		return fmt.Errorf("poststart %w", err)
	}
	return nil
}

// poststop runs each of the hooks after a container's end, whatever becomes of
// the others, and warns of those that fail.
func poststop(ctx context.Context, hooks []specs.Hook, state specs.State, warn func(string)) {
	for i := range hooks {
		if err := hook.Run(ctx, hooks[i:i+1], state, nil); err != nil {
			warn(fmt.Sprintf("poststop %v", err))
		}
	}
}
