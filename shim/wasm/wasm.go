// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package wasm makes a sandbox what the task service drives.
package wasm

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/oci"
	"containerd-shim-wazero/sandbox"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/shim/stdio"
	"containerd-shim-wazero/shim/task"
)

// Create makes a container's sandbox and its init, ready to start. On error
// nothing is left behind.
func Create(ctx context.Context, c *config.Container, host oci.Host, io *stdio.IO, o sandbox.Options) (task.Sandbox, task.Process, error) {
	container, init, err := sandbox.Create(ctx, c, ends(io), o)
	if err != nil {
		return nil, nil, err
	}
	return &box{Container: container, config: c, host: host}, process{init}, nil
}

// box is a task.Sandbox.
type box struct {
	*sandbox.Container
	config *config.Container
	host   oci.Host
}

// Exec runs a module as a further process of the container.
func (b *box) Exec(ctx context.Context, spec *specs.Process, io *stdio.IO) (task.Process, error) {
	host, err := oci.Inspect(spec, nil)
	if err != nil {
		return nil, err
	}
	host.Joined = b.host.Joined
	p, err := oci.ConfigureExec(b.config, spec, host)
	if err != nil {
		return nil, err
	}
	proc, err := b.Container.Exec(ctx, p, ends(io))
	if err != nil {
		return nil, err
	}
	return process{proc}, nil
}

// Stats returns the cgroup's figures.
func (b *box) Stats(ctx context.Context) (proto.Message, error) {
	stats, err := b.Container.Stats(ctx)
	if err != nil {
		return nil, err
	}
	m, ok := stats.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("statistics of the unknown kind %T: %w", stats, errdefs.ErrInternal)
	}
	return m, nil
}

// process is a task.Process.
type process struct{ *sandbox.Process }

func (p process) Exit() (status uint32, at time.Time) {
	e := p.Process.Exit()
	return e.Status, e.Time
}

func ends(io *stdio.IO) sandbox.Stdio {
	stdin, stdout, stderr := io.Guest()
	return sandbox.Stdio{Stdin: stdin, Stdout: stdout, Stderr: stderr}
}
