// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"containerd-shim-wazero/oci/pod"
	"containerd-shim-wazero/oci/wire"
	"containerd-shim-wazero/shim/rootfs"
	"containerd-shim-wazero/shim/task"
)

// sandboxService is the sandbox API (containerd's runtime/sandbox/v1/sandbox.proto),
// by which CRI makes pods where a handler says `sandboxer = "shim"`.
//
// Its messages are read and written field by field, as the unknown fields of an
// empty message: their package would bring all of grpc into every shim.
const sandboxService = "containerd.runtime.sandbox.v1.Sandbox"

// The states of a sandbox, as CRI names them.
const (
	sandboxReady    = "SANDBOX_READY"
	sandboxNotReady = "SANDBOX_NOTREADY"
)

// podSandbox is the pod that the sandbox API has made; its pause container is one
// of the service's.
type podSandbox struct {
	id, bundle string
	shm        string // the folder that is its containers' /dev/shm
	created    time.Time
}

// registerSandbox serves the sandbox API. UpdateSandbox is left out, which the API
// allows: the limits of a pod are its cgroup's, which is the kubelet's.
func (s *service) registerSandbox(server *ttrpc.Server) {
	server.RegisterService(sandboxService, &ttrpc.ServiceDesc{Methods: map[string]ttrpc.Method{
		"CreateSandbox":   method(fields(s.CreateSandbox)),
		"StartSandbox":    method(fields(s.StartSandbox)),
		"Platform":        method(fields(s.Platform)),
		"StopSandbox":     method(fields(s.StopSandbox)),
		"WaitSandbox":     method(fields(s.WaitSandbox)),
		"SandboxStatus":   method(fields(s.SandboxStatus)),
		"PingSandbox":     method(fields(s.PingSandbox)),
		"ShutdownSandbox": method(fields(s.ShutdownSandbox)),
		"SandboxMetrics":  method(fields(s.SandboxMetrics)),
	}})
}

// fields makes a method of a function from a request's bytes to a response's.
func fields(do func(context.Context, []byte) ([]byte, error)) func(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return func(ctx context.Context, req *emptypb.Empty) (*emptypb.Empty, error) {
		b, err := do(ctx, req.ProtoReflect().GetUnknown())
		resp := new(emptypb.Empty)
		resp.ProtoReflect().SetUnknown(b)
		return resp, err
	}
}

// text is the string of a field.
func text(message []byte, number protowire.Number) (string, error) {
	b, err := wire.Find(message, number)
	if err != nil {
		err = fmt.Errorf("read the request: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return string(b), err
}

// createSandbox is what is used here of a CreateSandboxRequest.
type createSandbox struct {
	id, bundle, netns string
	config            *pod.Config
}

func readCreate(req []byte) (c createSandbox, err error) {
	for _, f := range []struct {
		number protowire.Number
		to     *string
	}{{1, &c.id}, {2, &c.bundle}, {5, &c.netns}} {
		if *f.to, err = text(req, f.number); err != nil {
			return c, err
		}
	}
	if c.id == "" || !filepath.IsAbs(c.bundle) {
		return c, fmt.Errorf("sandbox %q has no bundle: %w", c.id, errdefs.ErrInvalidArgument)
	}
	options, err := text(req, 4) // an Any
	if err != nil {
		return c, err
	}
	typeURL, err := text([]byte(options), 1)
	if err != nil {
		return c, err
	}
	value, err := text([]byte(options), 2)
	if err != nil {
		return c, err
	}
	c.config, err = pod.Decode(typeURL, []byte(value))
	return c, err
}

// CreateSandbox makes the pod's namespaces, held by its pause process.
func (s *service) CreateSandbox(ctx context.Context, req []byte) (_ []byte, err error) {
	r, err := readCreate(req)
	if err != nil {
		return nil, err
	}
	if err := s.reserve(r.id); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.forget(r.id)
			logFailure(rootfs.UnmountShm(r.bundle))
		}
	}()
	if err := pod.WriteFiles(r.bundle, r.config); err != nil {
		return nil, err
	}
	sb := &podSandbox{id: r.id, bundle: r.bundle, shm: "/dev/shm", created: time.Now()}
	if r.config.IPC != pod.ModeNode {
		if err := rootfs.MountShm(r.bundle); err != nil {
			return nil, err
		}
		sb.shm = rootfs.Shm(r.bundle)
	}
	c, err := s.createPause(ctx, r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers[r.id], s.pod = c, sb
	return nil, nil
}

// StartSandbox answers with the pid by which the containers find the namespaces.
func (s *service) StartSandbox(ctx context.Context, req []byte) ([]byte, error) {
	c, sb, err := s.findSandbox(req)
	if err != nil {
		return nil, err
	}
	pid, err := c.Start(ctx, "")
	if err != nil {
		return nil, err
	}
	return appendTime(wire.AppendVarint(nil, 1, uint64(pid)), 2, sb.created)
}

// findSandbox returns the pause container and the sandbox that a request names.
func (s *service) findSandbox(req []byte) (*task.Container, *podSandbox, error) {
	id, err := text(req, 1)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.find(id)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pod == nil || s.pod.id != id {
		return nil, nil, fmt.Errorf("%s is no sandbox: %w", id, errdefs.ErrNotFound)
	}
	return c, s.pod, nil
}

// Platform is this machine's, for mixed pods; a module runs whatever it says.
func (s *service) Platform(context.Context, []byte) ([]byte, error) {
	platform := wire.AppendString(wire.AppendString(nil, 1, "linux"), 2, runtime.GOARCH)
	return wire.AppendString(nil, 1, string(platform)), nil
}

// StopSandbox ends the pause process. It is idempotent.
func (s *service) StopSandbox(ctx context.Context, req []byte) ([]byte, error) {
	c, _, err := s.findSandbox(req)
	if err != nil {
		return nil, err
	}
	return nil, c.Stop(ctx)
}

// WaitSandbox waits for the pause process's end.
func (s *service) WaitSandbox(ctx context.Context, req []byte) ([]byte, error) {
	c, _, err := s.findSandbox(req)
	if err != nil {
		return nil, err
	}
	status, at, err := c.Wait(ctx, "")
	if err != nil {
		return nil, err
	}
	return appendTime(wire.AppendVarint(nil, 1, uint64(status)), 2, at)
}

// SandboxStatus tells the state as CRI names it, and, when asked for more, the pid.
func (s *service) SandboxStatus(_ context.Context, req []byte) ([]byte, error) {
	c, sb, err := s.findSandbox(req)
	if err != nil {
		return nil, err
	}
	st, err := c.Status("")
	if err != nil {
		return nil, err
	}
	state := sandboxNotReady
	if st.State == task.Running {
		state = sandboxReady
	}
	resp := wire.AppendString(nil, 1, sb.id)
	resp = wire.AppendVarint(resp, 2, uint64(st.Pid))
	resp = wire.AppendString(resp, 3, state)
	info := wire.AppendString(wire.AppendString(nil, 1, "info"), 2, fmt.Sprintf(`{"pid":%d}`, st.Pid))
	resp = wire.AppendString(resp, 4, string(info))
	if resp, err = appendTime(resp, 5, sb.created); err != nil || st.ExitedAt.IsZero() {
		return resp, err
	}
	return appendTime(resp, 6, st.ExitedAt)
}

// PingSandbox answers.
func (s *service) PingSandbox(context.Context, []byte) ([]byte, error) { return nil, nil }

// ShutdownSandbox removes the sandbox and ends the shim. It is idempotent.
func (s *service) ShutdownSandbox(ctx context.Context, req []byte) ([]byte, error) {
	c, sb, err := s.findSandbox(req)
	if err == nil {
		if _, err := c.Delete(ctx, ""); err != nil {
			return nil, err
		}
		s.forget(sb.id)
		s.output.Remove(sb.bundle)
	} else if !errdefs.IsNotFound(err) {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unused() {
		s.end()
	}
	return nil, nil
}

// SandboxMetrics are the figures of the pause container's cgroup.
func (s *service) SandboxMetrics(ctx context.Context, req []byte) ([]byte, error) {
	c, sb, err := s.findSandbox(req)
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
	data, err := proto.Marshal(value)
	if err != nil {
		return nil, err
	}
	metric, err := appendTime(nil, 1, time.Now())
	metric = wire.AppendString(wire.AppendString(metric, 2, sb.id), 3, string(data))
	return wire.AppendString(nil, 1, string(metric)), err
}

// appendTime appends a google.protobuf.Timestamp.
func appendTime(b []byte, number protowire.Number, t time.Time) ([]byte, error) {
	data, err := proto.Marshal(timestamppb.New(t))
	return wire.AppendString(b, number, string(data)), err
}
