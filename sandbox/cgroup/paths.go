// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

const root = "/sys/fs/cgroup"

// pathsV1 are the directories of a v1 cgroup, by controller: every hierarchy
// that is mounted, named ones and the v2 hierarchy of a hybrid host included,
// as runc has it. An absolute path lies below each hierarchy's root, a relative
// one below this process's own cgroup.
func pathsV1(path string) (map[string]string, error) {
	// The hierarchies come from one small file; parsing mountinfo instead costs
	// milliseconds on a node with many containers.
	list, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	paths := make(map[string]string, 16)
	for line := range strings.Lines(string(list)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, _, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			dir, err := pathV1(controller, path)
			if cgroups.IsNotFound(err) {
				continue // a hierarchy without a mount
			}
			if err != nil {
				return nil, err
			}
			paths[controller] = dir
		}
	}
	if paths["devices"] == "" {
		return nil, errors.New("the devices controller is not mounted: a container cannot be kept from devices without it")
	}
	return paths, nil
}

// pathV1 is the directory of a cgroup in one controller's hierarchy.
func pathV1(controller, path string) (string, error) {
	if controller == "" {
		hybrid := filepath.Join(root, "unified")
		if !isMount(hybrid, unix.CGROUP2_SUPER_MAGIC) {
			return "", cgroups.NewNotFoundError("unified")
		}
		if !filepath.IsAbs(path) {
			own, err := ownHybrid()
			return filepath.Join(hybrid, own, clean(path)), err
		}
		return filepath.Join(hybrid, clean(path)), nil
	}
	if !filepath.IsAbs(path) {
		own, err := cgroups.GetOwnCgroupPath(controller)
		if err != nil {
			return "", err
		}
		return filepath.Join(own, clean(path)), nil
	}
	mount := filepath.Join(root, strings.TrimPrefix(controller, cgroups.CgroupNamePrefix))
	if !isMount(mount, unix.CGROUP_SUPER_MAGIC) {
		var err error
		if mount, err = cgroups.FindCgroupMountpoint("", controller); err != nil {
			return "", err
		}
	}
	return filepath.Join(mount, clean(path)), nil
}

// ownHybrid is this process's cgroup in the v2 hierarchy of a hybrid host.
func ownHybrid() (string, error) {
	own, err := cgroups.ParseCgroupFile("/proc/self/cgroup")
	return own[""], err
}

// clean makes a path that cannot climb above what it is joined to.
func clean(path string) string { return filepath.Clean("/" + path) }

// isMount reports whether a file system of that type is at path.
func isMount(path string, magic int64) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && int64(st.Type) == magic
}
