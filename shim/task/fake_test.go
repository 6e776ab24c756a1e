// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	events "github.com/containerd/containerd/api/events"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/shim/stdio"
)

// fakeProcess ends by a signal, or when its test says so.
type fakeProcess struct {
	pid      int
	startErr error
	started  atomic.Bool
	once     sync.Once
	done     chan struct{}
	status   uint32
	at       time.Time
}

func (p *fakeProcess) Pid() int { return p.pid }

func (p *fakeProcess) Start(context.Context) error {
	if p.startErr != nil {
		return p.startErr
	}
	if p.started.Swap(true) {
		return errors.New("started twice")
	}
	return nil
}

func (p *fakeProcess) exit(status uint32) {
	p.once.Do(func() {
		p.status, p.at = status, time.Now()
		close(p.done)
	})
}

func (p *fakeProcess) Signal(sig unix.Signal) error {
	select {
	case <-p.done:
		return errdefs.ErrNotFound
	default:
	}
	if sig != unix.SIGWINCH {
		p.exit(128 + uint32(sig))
	}
	return nil
}

func (p *fakeProcess) Done() <-chan struct{} { return p.done }

func (p *fakeProcess) Exit() (uint32, time.Time) { return p.status, p.at }

// fakeSandbox makes fakeProcesses and has no pid namespace: init's exit leaves
// execs alone.
type fakeSandbox struct {
	mu       sync.Mutex
	procs    []*fakeProcess
	frozen   bool
	oom      bool
	deletes  int
	startErr error // of the next processes
	// spawning, if set, holds up Exec until it is closed or the caller gives up.
	spawning chan struct{}
}

func (s *fakeSandbox) spawn() *fakeProcess {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &fakeProcess{pid: 100 + len(s.procs), done: make(chan struct{}), startErr: s.startErr}
	s.procs = append(s.procs, p)
	return p
}

func (s *fakeSandbox) Exec(ctx context.Context, _ *specs.Process, _ *stdio.IO) (Process, error) {
	if s.spawning != nil {
		select {
		case <-s.spawning:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	s.mu.Lock()
	frozen := s.frozen
	s.mu.Unlock()
	if frozen {
		return nil, errors.New("a process entered a frozen cgroup")
	}
	return s.spawn(), nil
}

func (s *fakeSandbox) freeze(v bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = v
	return nil
}

func (s *fakeSandbox) Pause(context.Context) error                         { return s.freeze(true) }
func (s *fakeSandbox) Resume(context.Context) error                        { return s.freeze(false) }
func (s *fakeSandbox) Update(context.Context, *specs.LinuxResources) error { return nil }
func (s *fakeSandbox) Stats(context.Context) (proto.Message, error) {
	return &events.TaskOOM{}, nil
}

func (s *fakeSandbox) Pids(context.Context) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pids []int
	for _, p := range s.procs {
		select {
		case <-p.done:
		default:
			pids = append(pids, p.pid)
		}
	}
	return pids, nil
}

func (s *fakeSandbox) KillAll(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = false
	for _, p := range s.procs {
		p.exit(137)
	}
	return nil
}

func (s *fakeSandbox) OOMKilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oom
}

func (s *fakeSandbox) Delete(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deletes++
	return nil
}

// recorder keeps events as "topic subject", and asks the container about each
// exit as dockerd does: another goroutine, at once.
type recorder struct {
	mu   sync.Mutex
	list []string
	seen func(topic string, event proto.Message)
}

func (r *recorder) Publish(topic string, event proto.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := ""
	switch e := event.(type) {
	case *events.TaskExit:
		id = fmt.Sprintf(" %s %d", e.ID, e.ExitStatus)
	case *events.TaskExecAdded:
		id = " " + e.ExecID
	case *events.TaskExecStarted:
		id = " " + e.ExecID
	}
	r.list = append(r.list, topic+id)
	if r.seen != nil {
		r.seen(topic, event)
	}
}

func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.list...)
}

// newContainer returns a created container "c" with its fakes.
func newContainer(t testing.TB) (*Container, *fakeSandbox, *recorder) {
	t.Helper()
	box, rec := &fakeSandbox{}, &recorder{}
	io, err := stdio.Open(t.Context(), stdio.Request{})
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{ID: "c", Bundle: t.TempDir(), IO: io, Sandbox: box, Init: box.spawn(), Events: rec, Ended: func() {}})
	t.Cleanup(func() {
		_ = box.KillAll(context.Background())
		_, _, _ = c.Wait(context.Background(), "")
	})
	return c, box, rec
}
