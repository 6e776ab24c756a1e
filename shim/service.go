// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types/runc/options"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"containerd-shim-wazero/linux"
	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/shim/log"
	"containerd-shim-wazero/shim/stdio"
	"containerd-shim-wazero/shim/task"
)

// service is the task service: it finds the container a request is about and
// leaves the rest to it.
type service struct {
	namespace string
	// address is containerd's gRPC socket.
	address string
	events  task.Publisher
	output  *log.Output
	// shutdown has the process end. Only end calls it, perhaps more than once.
	shutdown func()
	// orphan looks whether a shim in which nothing runs is still known to containerd.
	orphan *time.Timer

	// linux has the pod's containers that are programs for Linux.
	linux *linux.Shim

	mu sync.Mutex
	// containers by id, but those of linux; nil while one is being created. Guarded by mu.
	containers map[string]*task.Container
	// over is set when the shim has begun to end. Guarded by mu.
	over bool
	// pod is what the sandbox API has made, nil without. Guarded by mu.
	pod *podSandbox
	// caches by folder. Guarded by mu.
	caches map[string]*cache.Cache
}

var empty = &emptypb.Empty{}

// find returns the container, which has been created.
func (s *service) find(id string) (*task.Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("container %s does not exist: %w", id, errdefs.ErrNotFound)
}

func (s *service) State(_ context.Context, r *taskapi.StateRequest) (*taskapi.StateResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	st, err := c.Status(r.ExecID)
	if err != nil {
		return nil, err
	}
	resp := &taskapi.StateResponse{
		ID:         st.ID,
		Bundle:     st.Bundle,
		Pid:        uint32(st.Pid),
		Status:     states[st.State],
		Stdin:      st.Stdio.Stdin,
		Stdout:     st.Stdio.Stdout,
		Stderr:     st.Stdio.Stderr,
		Terminal:   st.Stdio.Terminal,
		ExitStatus: st.ExitStatus,
		ExecID:     r.ExecID,
	}
	if !st.ExitedAt.IsZero() {
		resp.ExitedAt = timestamppb.New(st.ExitedAt)
	}
	return resp, nil
}

var states = [...]tasktypes.Status{
	task.Created: tasktypes.Status_CREATED,
	task.Running: tasktypes.Status_RUNNING,
	task.Paused:  tasktypes.Status_PAUSED,
	task.Stopped: tasktypes.Status_STOPPED,
	task.Deleted: tasktypes.Status_STOPPED,
}

func (s *service) Start(ctx context.Context, r *taskapi.StartRequest) (*taskapi.StartResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	pid, err := c.Start(ctx, r.ExecID)
	if err != nil {
		return nil, err
	}
	return &taskapi.StartResponse{Pid: uint32(pid)}, nil
}

func (s *service) Delete(ctx context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	if s.linux.Has(r.ID) {
		return s.deleteLinux(ctx, r)
	}
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	st, err := c.Delete(ctx, r.ExecID)
	if err != nil {
		return nil, err
	}
	if r.ExecID == "" {
		s.forget(r.ID)
		s.output.Remove(st.Bundle)
	}
	return &taskapi.DeleteResponse{
		Pid:        uint32(st.Pid),
		ExitStatus: st.ExitStatus,
		ExitedAt:   timestamppb.New(st.ExitedAt),
	}, nil
}

func (s *service) forget(id string) {
	s.mu.Lock()
	delete(s.containers, id)
	s.mu.Unlock()
	s.lookForOrphan()
}

// lookForOrphan has a shim in which nothing runs look whether it is still known.
func (s *service) lookForOrphan() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle() {
		s.orphan.Reset(orphanTime)
	}
}

func (s *service) Pids(ctx context.Context, r *taskapi.PidsRequest) (*taskapi.PidsResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	pids, err := c.Pids(ctx)
	if err != nil {
		return nil, err
	}
	resp := &taskapi.PidsResponse{}
	for pid, exec := range pids {
		info := &tasktypes.ProcessInfo{Pid: uint32(pid)}
		if exec != "" {
			if info.Info, err = message(&options.ProcessDetails{ExecID: exec}); err != nil {
				return nil, err
			}
		}
		resp.Processes = append(resp.Processes, info)
	}
	return resp, nil
}

func (s *service) Pause(ctx context.Context, r *taskapi.PauseRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	return empty, c.Pause(ctx)
}

func (s *service) Resume(ctx context.Context, r *taskapi.ResumeRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	return empty, c.Resume(ctx)
}

func (s *service) Checkpoint(_ context.Context, r *taskapi.CheckpointTaskRequest) (*emptypb.Empty, error) {
	return nil, fmt.Errorf("container %s cannot be checkpointed: this runtime does not support it: %w", r.ID, errdefs.ErrNotImplemented)
}

func (s *service) Kill(ctx context.Context, r *taskapi.KillRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	return empty, c.Kill(ctx, r.ExecID, unix.Signal(r.Signal), r.All)
}

func (s *service) Exec(_ context.Context, r *taskapi.ExecProcessRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	if r.ExecID == "" {
		return nil, fmt.Errorf("an exec in container %s has no id: %w", r.ID, errdefs.ErrInvalidArgument)
	}
	var spec specs.Process
	if err := decodeJSON(r.Spec, &spec); err != nil {
		return nil, fmt.Errorf("read the process of exec %s: %w", r.ExecID, err)
	}
	// The request says how its stdio is connected; the spec follows it.
	spec.Terminal = r.Terminal
	return empty, c.Exec(r.ExecID, &spec, stdio.Request{
		Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Terminal: r.Terminal, ID: r.ID, Namespace: s.namespace,
	})
}

func (s *service) ResizePty(_ context.Context, r *taskapi.ResizePtyRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	return empty, c.Resize(r.ExecID, r.Width, r.Height)
}

func (s *service) CloseIO(_ context.Context, r *taskapi.CloseIORequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil || !r.Stdin {
		return empty, err
	}
	return empty, c.CloseIO(r.ExecID)
}

func (s *service) Update(ctx context.Context, r *taskapi.UpdateTaskRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	var resources specs.LinuxResources
	if err := decodeJSON(r.Resources, &resources); err != nil {
		return nil, fmt.Errorf("read the new resources of container %s: %w", r.ID, err)
	}
	return empty, c.Update(ctx, &resources)
}

func (s *service) Wait(ctx context.Context, r *taskapi.WaitRequest) (*taskapi.WaitResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	status, at, err := c.Wait(ctx, r.ExecID)
	if err != nil {
		return nil, err
	}
	return &taskapi.WaitResponse{ExitStatus: status, ExitedAt: timestamppb.New(at)}, nil
}

func (s *service) Stats(ctx context.Context, r *taskapi.StatsRequest) (*taskapi.StatsResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	stats, err := c.Stats(ctx)
	if err != nil {
		return nil, err
	}
	value, err := message(stats)
	if err != nil {
		return nil, err
	}
	return &taskapi.StatsResponse{Stats: value}, nil
}

// Connect tells the pids. An id that is not known yet, or no more, is no error:
// containerd asks also for a shim that is only just being made.
func (s *service) Connect(_ context.Context, r *taskapi.ConnectRequest) (*taskapi.ConnectResponse, error) {
	resp := &taskapi.ConnectResponse{ShimPid: uint32(os.Getpid())}
	if c, err := s.find(r.ID); err == nil {
		resp.TaskPid = uint32(c.Pid())
	}
	return resp, nil
}

// Shutdown ends the shim, unless it has other containers: containerd calls it
// after every Delete.
func (s *service) Shutdown(context.Context, *taskapi.ShutdownRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unused() {
		s.end()
	}
	return empty, nil
}

// end ends the shim, which takes no container any more: who has found it only just
// now gets an error instead of a container that soon dies with it. s.mu is held.
func (s *service) end() {
	s.over = true
	s.shutdown()
}

// unused reports whether there is no container of any kind. s.mu is held.
func (s *service) unused() bool { return len(s.containers) == 0 && s.linux.Empty() }

// idle reports whether all that is left are containers that have ended. s.mu is held.
func (s *service) idle() bool {
	for _, c := range s.containers {
		if c == nil || !c.Ended() {
			return false
		}
	}
	return s.linux.Empty()
}

// message packs m as containerd's typeurl names it: by its full name alone.
func message(m proto.Message) (*anypb.Any, error) {
	value, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	return &anypb.Any{TypeUrl: string(m.ProtoReflect().Descriptor().FullName()), Value: value}, nil
}
