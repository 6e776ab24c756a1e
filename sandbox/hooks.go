// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/control"
)

// hasCreateHooks reports whether any hook runs between the mounts and the entry
// into the root.
func hasCreateHooks(h *specs.Hooks) bool {
	return h != nil && len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0
}

// runCreateHooks runs the hooks of the creation while the process waits.
func (p *Process) runCreateHooks(ctx context.Context) error {
	f, err := p.receive(control.TypeMounted)
	if err != nil {
		return err
	}
	f.Close()
	h := p.container.config.Hooks
	state := p.container.state(specs.StateCreating)
	state.Pid = p.pid
	for _, hooks := range [][]specs.Hook{h.Prestart, h.CreateRuntime, h.CreateContainer} {
		if err := runHooks(ctx, hooks, state); err != nil {
			return err
		}
	}
	return p.conn.Send(control.TypeGoOn, nil)
}

func (c *Container) state(status specs.ContainerState) specs.State {
	return specs.State{
		Version: specs.Version, ID: c.config.ID, Status: status,
		Bundle: c.config.Bundle, Annotations: c.config.Annotations,
	}
}

func (c *Container) beforeStart(ctx context.Context) error { return nil }
func (c *Container) afterStart(ctx context.Context) error  { return nil }
func (c *Container) poststop(ctx context.Context)          {}

func runHooks(ctx context.Context, hooks []specs.Hook, state specs.State) error {
	if len(hooks) > 0 {
		return errors.New("hooks")
	}
	return nil
}
