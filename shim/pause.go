// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/oci"
	"containerd-shim-wazero/oci/pod"
	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/shim/record"
	"containerd-shim-wazero/shim/rootfs"
	"containerd-shim-wazero/shim/task"
)

// createPause makes the container that holds the pod's namespaces.
func (s *service) createPause(ctx context.Context, c createSandbox) (_ *task.Container, err error) {
	set, err := settings.Load("")
	if err != nil {
		return nil, errdefs.ErrInvalidArgument.WithMessage(err.Error())
	}
	joined := pod.Joined{Network: c.netns}
	if c.netns != "" && len(c.config.UIDs) > 0 {
		owner, err := ownerOf(c.netns)
		if err != nil {
			return nil, fmt.Errorf("find the user namespace of %s: %w", c.netns, err)
		}
		if owner != nil {
			defer owner.Close()
			joined.User = fmt.Sprintf("/proc/self/fd/%d", owner.Fd())
		}
	}
	r := &taskapi.CreateTaskRequest{ID: c.id, Bundle: c.bundle, Rootfs: pauseRootfs(c.config)}
	if err := mountRootfs(r); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			logFailure(rootfs.Unmount(c.bundle))
		}
	}()
	return s.createWasm(ctx, r, pod.Spec(c.id, c.config, joined), set, silent{})
}

// pauseRootfs is an empty file system, as this API hands over no image.
func pauseRootfs(config *pod.Config) []*types.Mount {
	options := []string{"size=64k", "mode=755"}
	for option, ids := range map[string][]specs.LinuxIDMapping{"uid": config.UIDs, "gid": config.GIDs} {
		for _, m := range ids {
			if m.ContainerID == 0 {
				options = append(options, fmt.Sprintf("%s=%d", option, m.HostID))
			}
		}
	}
	return []*types.Mount{{Type: "tmpfs", Source: "tmpfs", Options: options}}
}

// ownerOf opens the user namespace to which a network namespace belongs, nil if
// that is the host's. containerd makes one for a pod that maps users.
func ownerOf(netns string) (*os.File, error) {
	f, err := os.Open(netns)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return nil, err
	}
	owner := os.NewFile(uintptr(fd), "user namespace")
	host, err := os.Stat("/proc/self/ns/user")
	if err == nil {
		var info os.FileInfo
		if info, err = owner.Stat(); err == nil && !os.SameFile(info, host) {
			return owner, nil
		}
	}
	owner.Close()
	return nil, err
}

// silent publishes nothing: a sandbox's end is told by WaitSandbox.
type silent struct{}

func (silent) Publish(string, proto.Message) {}

// addPodFiles mounts the pod's files in a container of the pod that the sandbox
// API has made, and writes so to its bundle, which runc and hooks read.
func (s *service) addPodFiles(bundle string, spec *specs.Spec) error {
	s.mu.Lock()
	sb := s.pod
	s.mu.Unlock()
	if sb == nil || !oci.IsPodContainer(spec) {
		return nil
	}
	pod.AddFiles(spec, sb.bundle, sb.shm)
	data, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("write the bundle's configuration: %w", err)
	}
	return record.WriteFile(filepath.Join(bundle, "config.json"), data)
}
