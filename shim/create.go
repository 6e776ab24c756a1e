// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"os"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	clog "github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"

	"containerd-shim-wazero/linux"
	"containerd-shim-wazero/oci"
	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/sandbox"
	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/compile"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/shim/record"
	"containerd-shim-wazero/shim/rootfs"
	"containerd-shim-wazero/shim/stdio"
	"containerd-shim-wazero/shim/task"
	"containerd-shim-wazero/shim/wasm"
)

// Create makes a container, whose module is loaded when it returns. What fails
// is undone.
func (s *service) Create(ctx context.Context, r *taskapi.CreateTaskRequest) (*taskapi.CreateTaskResponse, error) {
	if err := s.reserve(r.ID); err != nil {
		return nil, err
	}
	resp, err := s.create(ctx, r)
	if err != nil {
		s.forget(r.ID)
		s.output.Remove(r.Bundle)
		if errdefs.IsNotImplemented(err) {
			// containerd would take that for a shim of an older API, and try again.
			err = errdefs.ErrFailedPrecondition.WithMessage(err.Error())
		}
		return nil, err
	}
	return resp, nil
}

// reserve takes the id, so that it is created once.
func (s *service) reserve(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return fmt.Errorf("container %s: its group's shim is about to end: try again: %w", id, errdefs.ErrUnavailable)
	}
	if _, ok := s.containers[id]; ok || s.linux.Has(id) {
		return fmt.Errorf("container %s: %w", id, errdefs.ErrAlreadyExists)
	}
	s.containers[id] = nil
	return nil
}

func (s *service) create(ctx context.Context, r *taskapi.CreateTaskRequest) (_ *taskapi.CreateTaskResponse, err error) {
	if r.Checkpoint != "" {
		return nil, fmt.Errorf("container %s cannot be restored from a checkpoint: %w", r.ID, errdefs.ErrFailedPrecondition)
	}
	if err := s.output.Add(r.Bundle); err != nil {
		clog.L.WithError(err).Debug("no log for this container")
	}
	set, err := loadSettings(r.Options)
	if err != nil {
		return nil, errdefs.ErrInvalidArgument.WithMessage(err.Error())
	}
	raiseLogLevel(set.LogLevel)
	if err := mountRootfs(r); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			logFailure(rootfs.Unmount(r.Bundle))
		}
	}()
	spec, err := oci.Read(r.Bundle)
	if err != nil {
		return nil, err
	}
	if err := s.addPodFiles(r.Bundle, spec); err != nil {
		return nil, err
	}
	if oci.IsPodContainer(spec) && linux.IsProgram(spec, rootPath(r.Bundle, spec)) {
		return s.createLinux(ctx, r, spec)
	}
	c, err := s.createWasm(ctx, r, spec, set, s.events)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers[r.ID] = c
	return &taskapi.CreateTaskResponse{Pid: uint32(c.Pid())}, nil
}

// createWasm makes a container whose root file system is mounted.
func (s *service) createWasm(ctx context.Context, r *taskapi.CreateTaskRequest, spec *specs.Spec, set *settings.Settings, events task.Publisher) (_ *task.Container, err error) {
	c, host, err := s.configure(ctx, r, spec, set)
	if err != nil {
		return nil, err
	}
	modules, err := s.cache(set)
	if err != nil {
		return nil, err
	}
	names := stdio.Request{
		Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Terminal: r.Terminal, ID: r.ID, Namespace: s.namespace,
	}
	io, err := stdio.Open(ctx, names)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			io.Abort()
		}
	}()
	if p := &c.Process; p.ConsoleWidth != 0 || p.ConsoleHeight != 0 {
		if err := io.Resize(uint32(p.ConsoleWidth), uint32(p.ConsoleHeight)); err != nil {
			return nil, err
		}
	}
	logger := logger(r.ID, spec)
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	ports := s.ports(asking, c, func() []byte {
		return linux.Head(spec, rootPath(r.Bundle, spec), c.Process.Module.Path, moduleHead)
	})
	box, init, err := wasm.Create(ctx, c, host, io, sandbox.Options{
		Cache:   modules,
		Log:     func(line string) { logger.Info(line) },
		Exposed: ports,
	})
	if err != nil {
		return nil, explain(err, spec)
	}
	io.Started()
	if err := record.Save(r.Bundle, record.Record{Pid: init.Pid()}); err != nil {
		logFailure(box.Delete(context.WithoutCancel(ctx)))
		return nil, err
	}
	return task.New(task.Config{
		ID:      r.ID,
		Bundle:  r.Bundle,
		Rootfs:  r.Rootfs,
		Stdio:   names,
		IO:      io,
		Sandbox: mounted{box, r.Bundle},
		Init:    init,
		Events:  events,
		Ended:   s.lookForOrphan,
	}), nil
}

// logger writes lines that name a container as its users do.
func logger(id string, spec *specs.Spec) *clog.Entry {
	entry := clog.L.WithField("container", id)
	pod, name := oci.PodNames(spec.Annotations)
	if pod != "" {
		entry = entry.WithField("pod", pod)
	}
	if name != "" {
		entry = entry.WithField("container_name", name)
	}
	return entry
}

// configure maps the bundle, whose root file system is mounted.
func (s *service) configure(ctx context.Context, r *taskapi.CreateTaskRequest, spec *specs.Spec, set *settings.Settings) (*config.Container, oci.Host, error) {
	if spec.Process != nil {
		// The request says how stdio is connected; the spec follows it.
		spec.Process.Terminal = r.Terminal
	}
	host, err := oci.Inspect(spec.Process, spec.Linux)
	if err != nil {
		return nil, host, err
	}
	in := oci.Input{ID: r.ID, Bundle: r.Bundle, Spec: spec, Settings: set, Host: host}
	c, err := oci.Configure(in)
	if err != nil || c.Process.Kind != config.Wasm {
		return c, host, err
	}
	in.Module, err = s.artifact(ctx, r.ID, r.Bundle, c.Root.Path, set.ModuleMaxSize)
	if err == nil && in.Module != "" {
		c, err = oci.Configure(in)
	}
	return c, host, err
}

// cache returns the compile cache that the settings name.
func (s *service) cache(set *settings.Settings) (*cache.Cache, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.caches[set.CacheDir]; c != nil {
		return c, nil
	}
	c, err := cache.Open(set.CacheDir, cache.Options{Size: set.CacheMaxSize, Compile: compile.Process})
	if err != nil {
		return nil, err
	}
	s.caches[set.CacheDir] = c
	return c, nil
}

// mountRootfs mounts what containerd leaves to the shim. dockerd mounts itself
// and sends none.
func mountRootfs(r *taskapi.CreateTaskRequest) error {
	if len(r.Rootfs) == 0 {
		return nil
	}
	target := rootfs.Path(r.Bundle)
	if err := os.Mkdir(target, 0o711); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make the rootfs: %w", err)
	}
	if err := mount.All(mount.FromProto(r.Rootfs), target); err != nil {
		logFailure(rootfs.Unmount(r.Bundle))
		return fmt.Errorf("mount the rootfs: %w", err)
	}
	return nil
}

// mounted is a sandbox with which goes what is mounted in its bundle.
type mounted struct {
	task.Sandbox
	bundle string
}

func (m mounted) Delete(ctx context.Context) error {
	if err := m.Sandbox.Delete(ctx); err != nil {
		return err
	}
	if err := rootfs.Unmount(m.bundle); err != nil {
		return err
	}
	return rootfs.UnmountShm(m.bundle)
}

// logFailure reports what fails while something else is undone.
func logFailure(err error) {
	if err != nil {
		clog.L.WithError(err).Warn("clear up")
	}
}

// raiseLogLevel sets the log level of the settings, unless containerd asked for more.
func raiseLogLevel(name string) {
	level, err := logrus.ParseLevel(name)
	if err == nil && clog.L.Logger.GetLevel() != logrus.DebugLevel {
		clog.L.Logger.SetLevel(level)
	}
}

// explain adds why a pod's image may lack the module: CRI takes the manifest of the
// node's platform, where Docker takes that of wasi/wasm.
func explain(err error, spec *specs.Spec) error {
	if errdefs.IsNotFound(err) && oci.IsPodContainer(spec) {
		return fmt.Errorf("%w (of an image for several platforms Kubernetes takes the node's own: it must hold the module too)", err)
	}
	return err
}
