// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/errdefs"
	clog "github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Config is what a Shim is made of.
type Config struct {
	Namespace string
	// Address is containerd's gRPC socket. Events go to the ttrpc socket that
	// this process's environment names.
	Address string
	// Bundle is the folder of the pod's sandbox, which outlives its containers.
	Bundle string
	// Socket is a path that nobody else uses, for a moment.
	Socket string
	Debug  bool
	// Died is called when the shim for runc has ended while it had containers.
	Died func()
}

// Shim is the pod's shim for runc. It runs as long as there are containers in it.
type Shim struct {
	config Config

	// changing is held while runc is started or ended. It is taken before mu.
	changing sync.Mutex

	mu         sync.Mutex
	runc       *runc             // nil while none runs; guarded by mu
	containers map[string]string // the bundles by id, of those created; guarded by mu
	creating   int               // guarded by mu
}

// New returns a Shim without containers; nothing is started yet.
func New(c Config) *Shim { return &Shim{config: c, containers: map[string]string{}} }

// Has reports whether the container is one of the shim's.
func (s *Shim) Has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.containers[id]
	return has
}

// Bundle is that of one of the shim's containers.
func (s *Shim) Bundle(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.containers[id]
}

// Empty reports whether the shim has no containers.
func (s *Shim) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.containers) == 0 && s.creating == 0
}

// Call hands a request about one of the shim's containers over, as it is.
func (s *Shim) Call(ctx context.Context, method string, req, resp proto.Message) error {
	s.mu.Lock()
	r := s.runc
	s.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%s has ended: %w", shimProgram, errdefs.ErrUnavailable)
	}
	return r.call(ctx, method, req, resp)
}

// Create makes a container whose root file system is mounted in its bundle.
func (s *Shim) Create(ctx context.Context, req *taskapi.CreateTaskRequest, spec *specs.Spec) (*taskapi.CreateTaskResponse, error) {
	s.mu.Lock()
	s.creating++
	s.mu.Unlock()
	resp, err := s.create(ctx, req, spec)
	s.mu.Lock()
	s.creating--
	if err == nil {
		s.containers[req.ID] = req.Bundle
	}
	s.mu.Unlock()
	if err != nil {
		s.endIfEmpty(ctx)
	}
	return resp, err
}

func (s *Shim) create(ctx context.Context, req *taskapi.CreateTaskRequest, spec *specs.Spec) (*taskapi.CreateTaskResponse, error) {
	r, err := s.started(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	req = proto.CloneOf(req)
	req.Rootfs = nil
	if req.Options, err = runcOptions(req.Options, spec); err != nil {
		return nil, err
	}
	resp := new(taskapi.CreateTaskResponse)
	return resp, r.call(ctx, "Create", req, resp)
}

// Delete removes a container or one of its execs. It forgets also a container that
// runc's shim no longer has: the caller of an earlier Delete did not wait for its end.
func (s *Shim) Delete(ctx context.Context, req *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	resp := new(taskapi.DeleteResponse)
	err := s.Call(ctx, "Delete", req, resp)
	if req.ExecID == "" && (err == nil || status.Code(err) == codes.NotFound) {
		s.mu.Lock()
		delete(s.containers, req.ID)
		s.mu.Unlock()
		// Nobody waits for this, and the next container may come first.
		go s.endIfEmpty(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// End waits until the shim for runc, if it has no containers, has sent their last
// events and ended. It would die with this process.
func (s *Shim) End(ctx context.Context) { s.endIfEmpty(ctx) }

// Stop kills every container. The shim for runc ends with this process; what is left
// is for containerd's `delete`.
func (s *Shim) Stop(ctx context.Context) {
	s.mu.Lock()
	ids := slices.Collect(maps.Keys(s.containers))
	s.mu.Unlock()
	for _, id := range ids {
		err := s.Call(ctx, "Kill", &taskapi.KillRequest{ID: id, Signal: uint32(unix.SIGKILL), All: true}, new(emptypb.Empty))
		if err != nil {
			clog.G(ctx).WithError(err).Warnf("kill container %s", id)
		}
	}
}

// started returns the running shim for runc, which it starts if there is none.
func (s *Shim) started(ctx context.Context, id string) (*runc, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	r := s.runc
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := start(ctx, s.config, id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.runc = r
	s.mu.Unlock()
	go s.watch(r)
	return r, nil
}

// watch tells of an end that nobody asked for.
func (s *Shim) watch(r *runc) {
	<-r.ended
	s.mu.Lock()
	unasked := s.runc == r
	if unasked {
		s.runc = nil
	}
	s.mu.Unlock()
	if unasked {
		s.config.Died()
	}
}

// endIfEmpty ends the shim for runc when it has no containers any more.
func (s *Shim) endIfEmpty(ctx context.Context) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	r := s.runc
	if r == nil || len(s.containers) > 0 || s.creating > 0 {
		s.mu.Unlock()
		return
	}
	s.runc = nil
	s.mu.Unlock()
	r.shutdown(ctx)
}

// runcOptions are the options for runc: those that CRI sends for pods with user
// namespaces, and systemd's cgroups where the path has its form. This runtime's
// own options mean nothing to runc.
func runcOptions(value *anypb.Any, spec *specs.Spec) (*anypb.Any, error) {
	o := new(options.Options)
	if url := value.GetTypeUrl(); strings.HasSuffix(url, string(o.ProtoReflect().Descriptor().FullName())) {
		if err := proto.Unmarshal(value.Value, o); err != nil {
			return nil, fmt.Errorf("read the runtime options: %w: %w", err, errdefs.ErrInvalidArgument)
		}
	}
	if spec.Linux != nil && strings.Count(spec.Linux.CgroupsPath, ":") == 2 {
		o.SystemdCgroup = true
	}
	data, err := proto.Marshal(o)
	if err != nil {
		return nil, err
	}
	return &anypb.Any{TypeUrl: string(o.ProtoReflect().Descriptor().FullName()), Value: data}, nil
}
