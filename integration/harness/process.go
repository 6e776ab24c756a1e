// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
)

// Process is a container's first process or an exec of it.
type Process struct {
	node *Node
	t    testing.TB
	what string
	streams

	process  client.Process
	out, err Output
	created  chan struct{} // closed when stdin may be ended
	done     chan struct{} // closed when the exit status is known
	exit     client.ExitStatus
	cancel   context.CancelFunc // ends the watching
}

func newProcess(n *Node, t testing.TB, what string, s streams) Process {
	return Process{node: n, t: t, what: what, streams: s,
		created: make(chan struct{}), done: make(chan struct{}), cancel: func() {}}
}

// io is the creator of the process's stdio.
func (p *Process) io() cio.Creator {
	if p.creator != nil {
		return p.creator
	}
	stdout, stderr := io.Writer(&p.out), io.Writer(&p.err)
	if p.stdout != nil {
		stdout = p.stdout
	}
	if p.stderr != nil {
		stderr = p.stderr
	}
	stdin := p.stdin
	if stdin != nil {
		// The shim holds stdin open until it is told of the end.
		stdin = &onEnd{Reader: stdin, call: func() { go p.endStdin() }}
	}
	opts := []cio.Opt{cio.WithStreams(stdin, stdout, stderr), cio.WithFIFODir("/run/" + p.node.Namespace + "-fifo")}
	if p.terminal {
		opts = append(opts, cio.WithTerminal)
	}
	return cio.NewCreator(opts...)
}

func (p *Process) endStdin() {
	select {
	case <-p.created:
	case <-time.After(Patience):
		return
	}
	ctx, cancel := p.node.ctx()
	defer cancel()
	_ = p.process.CloseIO(ctx, client.WithStdinCloser)
}

// watch begins to wait for the exit, before the start as containerd asks.
func (p *Process) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	close(p.created)
	go func() {
		defer close(p.done)
		for {
			p.exit = client.ExitStatus{}
			exits, err := p.process.Wait(ctx)
			if err == nil {
				p.exit = <-exits
				err = p.exit.Error()
			}
			// A containerd that restarts breaks the call, nothing else.
			if err == nil || ctx.Err() != nil || errdefs.IsNotFound(err) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
}

// Start lets the process run.
func (p *Process) Start() {
	p.t.Helper()
	if err := p.TryStart(); err != nil {
		p.t.Fatalf("start %s: %v", p.what, err)
	}
}

// TryStart is Start with the error answered.
func (p *Process) TryStart() error {
	ctx, cancel := p.node.ctx()
	defer cancel()
	return p.process.Start(ctx)
}

// Wait waits for the exit and the end of the output.
func (p *Process) Wait() *Result {
	p.t.Helper()
	return p.WaitFor(Patience)
}

// WaitFor is Wait with another patience.
func (p *Process) WaitFor(patience time.Duration) *Result {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end within %s; stdout %q, stderr %q", p.what, patience, clip(p.out.String()), clip(p.err.String()))
	}
	if err := p.exit.Error(); err != nil {
		p.t.Fatalf("wait for %s: %v", p.what, err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		if streams := p.process.IO(); streams != nil {
			streams.Wait()
		}
	}()
	select {
	case <-drained:
	case <-time.After(patience):
		p.t.Fatalf("%s has ended, its output has not; stdout %q, stderr %q", p.what, clip(p.out.String()), clip(p.err.String()))
	}
	return &Result{t: p.t, what: p.what,
		Status: int(p.exit.ExitCode()), Stdout: p.out.String(), Stderr: p.err.String()}
}

// Ended answers at once whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ExitedAt is when the process ended, as the shim says.
func (p *Process) ExitedAt() time.Time { return p.exit.ExitTime() }

// Kill sends a signal.
func (p *Process) Kill(signal syscall.Signal, opts ...client.KillOpts) {
	p.t.Helper()
	if err := p.TryKill(signal, opts...); err != nil {
		p.t.Fatalf("kill %s with %v: %v", p.what, signal, err)
	}
}

// TryKill is Kill with the error answered.
func (p *Process) TryKill(signal syscall.Signal, opts ...client.KillOpts) error {
	ctx, cancel := p.node.ctx()
	defer cancel()
	return p.process.Kill(ctx, signal, opts...)
}

// Type writes to the process's stdin; it must be interactive.
func (p *Process) Type(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.typed, text); err != nil {
		p.t.Fatalf("type to %s: %v", p.what, err)
	}
}

// CloseStdin ends the process's stdin.
func (p *Process) CloseStdin() {
	p.t.Helper()
	if err := p.typed.Close(); err != nil {
		p.t.Fatalf("close stdin of %s: %v", p.what, err)
	}
}

// Expect waits until stdout has the text in it.
func (p *Process) Expect(text string) {
	p.t.Helper()
	if !soon(Patience, func() bool { return strings.Contains(p.out.String(), text) }) {
		p.t.Fatalf("%s: stdout is %q, want %q in it; stderr %q", p.what, clip(p.out.String()), text, clip(p.err.String()))
	}
}

// Stdout is what came so far.
func (p *Process) Stdout() string { return p.out.String() }

// Stderr is what came so far.
func (p *Process) Stderr() string { return p.err.String() }

// Resize sets the size of the terminal.
func (p *Process) Resize(columns, rows uint32) {
	p.t.Helper()
	ctx, cancel := p.node.ctx()
	defer cancel()
	if err := p.process.Resize(ctx, columns, rows); err != nil {
		p.t.Fatalf("resize %s: %v", p.what, err)
	}
}

// Status is what containerd says of the process.
func (p *Process) Status() client.Status {
	p.t.Helper()
	ctx, cancel := p.node.ctx()
	defer cancel()
	status, err := p.process.Status(ctx)
	if err != nil {
		p.t.Fatalf("status of %s: %v", p.what, err)
	}
	return status
}

// Pid is the process's, as the shim says.
func (p *Process) Pid() int { return int(p.process.Pid()) }

// Client is containerd's own handle, for what is not here.
func (p *Process) Client() client.Process { return p.process }
