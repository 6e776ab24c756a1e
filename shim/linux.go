// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"path/filepath"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	clog "github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/linux"
	"containerd-shim-wazero/shim/record"
	"containerd-shim-wazero/shim/rootfs"
)

// createLinux has runc make a container, whose root file system is mounted. From
// here on the shim for runc answers for it and publishes its events.
func (s *service) createLinux(ctx context.Context, r *taskapi.CreateTaskRequest, spec *specs.Spec) (*taskapi.CreateTaskResponse, error) {
	if err := linux.Installed(); err != nil {
		return nil, err
	}
	// Before there is anything: a `delete` after this shim's death must know.
	if err := record.Save(r.Bundle, record.Record{Linux: true}); err != nil {
		return nil, err
	}
	resp, err := s.linux.Create(ctx, r, spec)
	if err != nil {
		return nil, err
	}
	s.forget(r.ID) // as one that is being created
	return resp, nil
}

// deleteLinux removes a container that runc runs, or an exec in it.
func (s *service) deleteLinux(ctx context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	bundle := s.linux.Bundle(r.ID)
	resp, err := s.linux.Delete(ctx, r)
	if r.ExecID != "" || bundle == "" || s.linux.Has(r.ID) {
		return resp, err
	}
	s.output.Remove(bundle)
	logFailure(rootfs.Unmount(bundle))
	if err == nil {
		logFailure(record.Save(bundle, record.Record{
			Pid: int(resp.Pid), Linux: true, Exited: true, Status: resp.ExitStatus, Time: resp.ExitedAt.AsTime(), Removed: true,
		}))
	}
	s.lookForOrphan()
	return resp, err
}

// endWithRunc ends the shim when the one for runc has died under it: containerd
// then clears the whole pod away, as it does when runc's own shim dies.
func (s *service) endWithRunc() {
	clog.L.Error("the shim for runc has ended: the pod ends with it")
	s.stopAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// rootPath is where the container's root file system is on the host.
func rootPath(bundle string, spec *specs.Spec) string {
	switch {
	case spec.Root == nil:
		return rootfs.Path(bundle)
	case filepath.IsAbs(spec.Root.Path):
		return spec.Root.Path
	}
	return filepath.Join(bundle, spec.Root.Path)
}
