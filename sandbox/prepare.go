// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/userns"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/fork"
	"containerd-shim-wazero/sandbox/mount"
)

// prepare opens on the host what the container's mounts take from it.
func prepare(c *config.Container, ns *namespaces, io Stdio) (_ *control.Setup, trees []*os.File, err error) {
	s := &control.Setup{
		Root:          c.Root,
		Devices:       c.Devices,
		BindDevices:   ns.user != nil || userns.RunningInUserNS(),
		MaskedPaths:   c.MaskedPaths,
		ReadonlyPaths: c.ReadonlyPaths,
		Sysctl:        c.Sysctl,
		Cwd:           c.Process.Cwd,
		Loopback:      ns.new&unix.CLONE_NEWNET != 0,
		Hooks:         hasCreateHooks(c.Hooks),
	}
	if ns.own&unix.CLONE_NEWUTS != 0 {
		s.Hostname, s.Domainname = c.Hostname, c.Domainname
	}
	defer func() {
		if err != nil {
			closeAll(trees)
			err = control.Errorf(errdefs.ErrInvalidArgument, "%v", err)
		}
	}()
	root, err := mount.OpenRoot(c.Root)
	if err != nil {
		return nil, nil, err
	}
	trees = append(trees, root)
	for i := range c.Mounts {
		m := &c.Mounts[i]
		plan := mount.Plan{Mount: *m, Tree: mount.Bind(m), Context: securityContext(c, m)}
		if plan.Tree {
			tree, err := openTree(m, c, ns)
			if err != nil {
				return nil, trees, err
			}
			trees = append(trees, tree)
		}
		s.Mounts = append(s.Mounts, plan)
	}
	if c.Process.Terminal && io.Stdin != nil {
		tree, err := openConsole(c, io.Stdin)
		if err != nil {
			return nil, trees, err
		}
		trees = append(trees, tree)
		s.Mounts = append(s.Mounts, mount.Plan{Mount: config.Mount{Source: "the terminal", Destination: "/dev/console"}, Tree: true})
	}
	if s.BindDevices {
		nodes, err := nodes(c)
		if err != nil {
			return nil, trees, err
		}
		trees = append(trees, nodes...)
	}
	return s, trees, nil
}

// nodes are the device nodes of a container that may make none itself.
func nodes(c *config.Container) ([]*os.File, error) {
	if userns.RunningInUserNS() {
		return mount.HostNodes(c.Devices)
	}
	return mount.Nodes(c.Devices, c.Namespaces.UIDMappings, c.Namespaces.GIDMappings)
}

// openTree opens what m binds, with the user namespace that its id mapping needs.
func openTree(m *config.Mount, c *config.Container, ns *namespaces) (*os.File, error) {
	slave := !mount.Shared(c.Root)
	if m.IDMap == nil || len(m.IDMap.UID)+len(m.IDMap.GID) == 0 {
		return mount.Tree(m, slave, ns.user)
	}
	mapping, err := fork.UserNamespace(m.IDMap.UID, m.IDMap.GID)
	if err != nil {
		return nil, fmt.Errorf("the id mapping of the mount on %s: %w", m.Destination, err)
	}
	defer mapping.Close()
	return mount.Tree(m, slave, mapping)
}

// securityContext is the SELinux context of a mount's new file system.
func securityContext(c *config.Container, m *config.Mount) string {
	if c.MountLabel == "" || mount.Bind(m) || !selinux() {
		return ""
	}
	switch m.Type {
	case "proc", "sysfs", "cgroup", "cgroup2", "mqueue": // have contexts of their own
		return ""
	}
	return c.MountLabel
}

// selinux reports whether the kernel has SELinux on.
func selinux() bool { return unix.Access("/sys/fs/selinux/enforce", unix.F_OK) == nil }

// openConsole opens the container's terminal for its /dev/console, and gives it
// to the container's user.
func openConsole(c *config.Container, terminal *os.File) (*os.File, error) {
	uid := int(c.Process.User.UID)
	if c.Namespaces.User.Own() {
		uid = mount.HostID(c.Process.User.UID, c.Namespaces.UIDMappings)
	}
	if err := unix.Fchown(int(terminal.Fd()), uid, -1); err != nil {
		return nil, fmt.Errorf("giving the terminal to the container's user: %w", err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", terminal.Fd()),
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("opening the terminal: %w", err)
	}
	return os.NewFile(uintptr(fd), "console"), nil
}
