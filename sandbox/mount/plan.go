// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package mount makes a container's mounts in two halves. The shim, on the
// host, opens what is bound in as detached trees, with their flags, propagation
// and id mapping. The sandbox process, in its own namespaces, puts these trees
// and new file systems where they belong below its root, and never looks at a
// path of the host.
package mount

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// Plan is a mount as the sandbox process is told of it.
type Plan struct {
	config.Mount
	// Tree means that a prepared tree is handed over for it.
	Tree bool
	// Context is the SELinux context of a new file system, "" for none.
	Context string
}

// attributes by mount flag.
var attributes = []struct{ flag, attr uint64 }{
	{unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
	{unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
}

// attr turns flags to set and to clear into those of mount_setattr.
func attr(set, clear uintptr) unix.MountAttr {
	var a unix.MountAttr
	for _, e := range attributes {
		if uint64(set)&e.flag != 0 {
			a.Attr_set |= e.attr
		} else if uint64(clear)&e.flag != 0 {
			a.Attr_clr |= e.attr
		}
	}
	const access = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME
	switch {
	case set&unix.MS_NOATIME != 0:
		a.Attr_set |= unix.MOUNT_ATTR_NOATIME
	case set&unix.MS_STRICTATIME != 0:
		a.Attr_set |= unix.MOUNT_ATTR_STRICTATIME
	}
	if (set|clear)&access != 0 { // relatime is the attribute with value 0
		a.Attr_clr |= unix.MOUNT_ATTR__ATIME
	}
	return a
}

// Bind reports whether m binds something of the host.
func Bind(m *config.Mount) bool { return m.Type == "bind" || m.Flags&unix.MS_BIND != 0 }

// Tree opens what a bind mount binds. slave cuts the way from the container's
// mounts to the host's; userns is the container's user namespace, for an id
// mapping without numbers of its own, or one made for the mount's numbers.
func Tree(m *config.Mount, slave bool, userns *os.File) (*os.File, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if m.Flags&unix.MS_REC != 0 {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, flags)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", m.Source, err)
	}
	tree := os.NewFile(uintptr(fd), m.Source)
	if err := adjust(fd, m, slave, userns); err != nil {
		tree.Close()
		return nil, fmt.Errorf("bind %s: %w", m.Source, err)
	}
	return tree, nil
}

func adjust(fd int, m *config.Mount, slave bool, userns *os.File) error {
	if slave {
		a := unix.MountAttr{Propagation: unix.MS_SLAVE}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &a); err != nil {
			return fmt.Errorf("setting the propagation: %w", err)
		}
	}
	if m.IDMap != nil {
		if userns == nil {
			return errors.New("an id mapping needs a user namespace")
		}
		a := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
		if err := unix.MountSetattr(fd, "", recursive(m.IDMap.Recursive), &a); err != nil {
			return fmt.Errorf("setting the id mapping (the file system may not support it): %w", err)
		}
	}
	return decorate(fd, m)
}

// decorate gives a detached mount its flags and propagation.
func decorate(fd int, m *config.Mount) error {
	if a := attr(m.Flags, m.ClearFlags); a != (unix.MountAttr{}) {
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &a); err != nil {
			return fmt.Errorf("setting the flags: %w", err)
		}
	}
	if m.RecursiveSet|m.RecursiveClear != 0 {
		a := unix.MountAttr{Attr_set: m.RecursiveSet, Attr_clr: m.RecursiveClear}
		if (m.RecursiveSet|m.RecursiveClear)&unix.MOUNT_ATTR__ATIME != 0 {
			a.Attr_clr |= unix.MOUNT_ATTR__ATIME
		}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &a); err != nil {
			return fmt.Errorf("setting the recursive flags: %w", err)
		}
	}
	for _, p := range m.Propagation {
		a := unix.MountAttr{Propagation: uint64(p &^ unix.MS_REC)}
		if err := unix.MountSetattr(fd, "", recursive(p&unix.MS_REC != 0), &a); err != nil {
			return fmt.Errorf("setting the propagation: %w", err)
		}
	}
	return nil
}

func recursive(yes bool) uint {
	if yes {
		return unix.AT_EMPTY_PATH | unix.AT_RECURSIVE
	}
	return unix.AT_EMPTY_PATH
}
