// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// mounts turns the bundle's mounts into what is mounted, in the same order. The
// kernel's own file systems are not granted, nor is what would lie in them;
// dropped names where they would have been. initProgram is the destination of
// the program that stripInit took off.
func mounts(list []specs.Mount, bundle, initProgram string, ns config.Namespaces) (kept []config.Mount, dropped []string, err error) {
	for i := range list {
		m, err := mount(&list[i], bundle, ns)
		if err != nil {
			return nil, nil, fmt.Errorf("mount at %.200q: %w", list[i].Destination, err)
		}
		switch {
		case initProgram != "" && list[i].Destination == initProgram:
		case within(m.Destination, dropped):
		case ofKernel(&m):
			dropped = append(dropped, m.Destination)
		default:
			kept = append(kept, m)
		}
	}
	return kept, dropped, nil
}

// ofKernel reports whether a mount is a view of the kernel, which no WASI call
// has a use for: proc, sysfs, cgroup, mqueue and devpts, or the host's own
// bound to the same place.
func ofKernel(m *config.Mount) bool {
	switch m.Type {
	case "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts":
		return true
	}
	if m.Type != "bind" || path.Clean(m.Source) != m.Destination {
		return false
	}
	switch m.Destination {
	case "/proc", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/pts":
		return true
	}
	return false
}

// within reports whether a path is one of the folders or lies in one.
func within(p string, folders []string) bool {
	for _, f := range folders {
		if p == f || strings.HasPrefix(p, f) && p[len(f)] == '/' {
			return true
		}
	}
	return false
}

// mount turns one mount of the bundle into its plain form.
func mount(in *specs.Mount, bundle string, ns config.Namespaces) (config.Mount, error) {
	for _, s := range append([]string{in.Destination, in.Source, in.Type}, in.Options...) {
		if strings.IndexByte(s, 0) >= 0 {
			return config.Mount{}, errNUL
		}
	}
	// A relative destination begins at the root, as with runc.
	m := config.Mount{Destination: path.Clean("/" + in.Destination), Source: in.Source, Type: in.Type}
	if m.Destination == "/" {
		return m, errors.New("the root file system itself cannot be a destination")
	}
	idmap, copyUp := parseOptions(&m, in.Options)
	if m.Type == "bind" && m.Flags&unix.MS_BIND == 0 {
		m.Flags |= unix.MS_BIND
	}
	if m.Flags&unix.MS_BIND == 0 {
		if m.Type == "" {
			return m, errors.New("it has neither a type nor the option bind")
		}
		m.CopyUp = copyUp && m.Type == "tmpfs"
		if idmap != idmapNo || in.UIDMappings != nil || in.GIDMappings != nil {
			return m, errors.New("only bind mounts can be idmapped")
		}
		return m, nil
	}
	m.Type = "bind"
	if m.Source == "" {
		return m, errors.New("the bind mount has no source")
	}
	if !filepath.IsAbs(m.Source) {
		m.Source = filepath.Join(bundle, m.Source)
	}
	if m.Data != "" {
		return m, fmt.Errorf("a bind mount cannot have the option %.80q", m.Data)
	}
	var err error
	m.IDMap, err = idMapping(in, idmap, ns)
	return m, err
}

// idmapMode is what the options say of idmapping.
type idmapMode int

const (
	idmapNo idmapMode = iota
	idmapTop
	idmapRecursive
)

// idMapping is the mapping of an idmapped bind mount: the mount's own, else the
// one of the container's user namespace.
func idMapping(in *specs.Mount, mode idmapMode, ns config.Namespaces) (*config.IDMap, error) {
	own := in.UIDMappings != nil || in.GIDMappings != nil
	if mode == idmapNo && !own {
		return nil, nil
	}
	m := &config.IDMap{UID: in.UIDMappings, GID: in.GIDMappings, Recursive: mode == idmapRecursive}
	if own {
		if err := checkMappings(m.UID, m.GID); err != nil {
			return nil, err
		}
		return m, nil
	}
	if !ns.User.Own() {
		return nil, errors.New("idmapped, but neither the mount nor a user namespace says how")
	}
	m.UID, m.GID = ns.UIDMappings, ns.GIDMappings
	return m, nil
}

// checkMappings refuses what the kernel would refuse with no more than "invalid
// argument".
func checkMappings(uid, gid []specs.LinuxIDMapping) error {
	if len(uid) == 0 || len(gid) == 0 {
		return errors.New("id mappings need both user and group ids")
	}
	for _, list := range [][]specs.LinuxIDMapping{uid, gid} {
		if len(list) > maxMappings {
			return fmt.Errorf("%d id mappings: the kernel allows %d", len(list), maxMappings)
		}
		for _, m := range list {
			if m.Size == 0 || m.ContainerID+m.Size < m.ContainerID || m.HostID+m.Size < m.HostID {
				return fmt.Errorf("id mapping of %d ids from %d to %d is not possible", m.Size, m.ContainerID, m.HostID)
			}
		}
	}
	return nil
}

// maxMappings is the kernel's UID_GID_MAP_MAX_EXTENTS.
const maxMappings = 340
