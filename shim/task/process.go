// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/shim/stdio"
)

// Process is one process of a container, of whatever kind: a Wasm sandbox, a
// pod's pause, a Linux program. It exists, ready but not started, until Start
// lets it go.
type Process interface {
	// Pid is the host's, valid for the life of the value.
	Pid() int
	Start(ctx context.Context) error
	// Signal does what the signal does to a program without handlers, or
	// delivers it where there is one. After the exit it fails with
	// errdefs.ErrNotFound.
	Signal(sig unix.Signal) error
	// Done is closed after the process has been reaped.
	Done() <-chan struct{}
	// Exit is the exit status and its time, valid after Done.
	Exit() (status uint32, at time.Time)
}

// Sandbox is what a container's processes live in. Its methods may be called at
// the same time, and after init's exit until Delete.
type Sandbox interface {
	// Exec makes a further process. The stdio stays the caller's. It fails while
	// the sandbox is paused, with errdefs.ErrFailedPrecondition: who enters a
	// frozen cgroup freezes at once.
	Exec(ctx context.Context, spec *specs.Process, io *stdio.IO) (Process, error)
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	Update(ctx context.Context, r *specs.LinuxResources) error
	// Stats returns the Metrics message of containerd/cgroups for v1 or v2.
	Stats(ctx context.Context) (proto.Message, error)
	Pids(ctx context.Context) ([]int, error)
	// KillAll sends SIGKILL to every process, thawing as needed.
	KillAll(ctx context.Context) error
	// OOMKilled reports whether the kernel killed for want of memory.
	OOMKilled() bool
	// Delete removes what the sandbox made on the host. It is idempotent.
	Delete(ctx context.Context) error
}

// Publisher takes events in order and never blocks.
type Publisher interface {
	Publish(topic string, event proto.Message)
}

// process is init or an exec. Its container's mu guards the fields below it.
type process struct {
	// id of an exec, "" for init.
	id string
	// name is for messages: "container c", "exec e of container c".
	name  string
	stdio stdio.Request
	// spec of an exec, nil for init.
	spec *specs.Process
	// done is closed when the process is stopped and its exit published, or
	// when it is deleted without ever having been one.
	done chan struct{}

	state State
	// starting says that a Start is on its way, which alone may change state
	// from created; an exit waits for it, so that no exit is published before
	// its start.
	starting bool
	// deleting says that a Delete is on its way.
	deleting bool
	// proc and io are nil for an exec that has not been started.
	proc Process
	io   *stdio.IO
	pid  int
	// width and height are the size of a terminal yet to be made, 0 for none.
	width, height uint32
	// stdinClosed says that CloseIO came before the stdio was there.
	stdinClosed bool
	status      uint32
	exitedAt    time.Time
}

// alive reports whether the process runs, or is about to.
func (p *process) alive() bool {
	return p.starting || p.state == Running || p.state == Paused
}
