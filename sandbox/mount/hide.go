// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Mask covers what lies at name: a directory with an empty one, anything else
// with /dev/null. What is not there needs no cover.
func (r Root) Mask(name string) error {
	target, err := r.Open(name, 0)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mask %s: %w", name, err)
	}
	defer unix.Close(target)
	if err := mask(target); err != nil {
		return fmt.Errorf("mask %s: %w", name, err)
	}
	return nil
}

func mask(target int) error {
	dir, err := isDir(target)
	if err != nil {
		return err
	}
	var cover int
	if dir {
		cover, err = fresh(&Plan{Mount: tmpfs(unix.MS_RDONLY, "nr_inodes=2,size=4k")}, target)
	} else {
		cover, err = null()
	}
	if err != nil {
		return err
	}
	defer unix.Close(cover)
	return move(cover, target)
}

// null is a detached mount of the /dev/null that the process can still see
// before it enters its root.
func null() (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, os.DevNull, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("%s of this host is not the null device", os.DevNull)
	}
	return fd, nil
}

// Protect makes what lies at name, and all mounts below it, read-only. What is
// not there needs no protection.
func (r Root) Protect(name string) error {
	target, err := r.Open(name, 0)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make %s read-only: %w", name, err)
	}
	defer unix.Close(target)
	if err := protect(target); err != nil {
		return fmt.Errorf("make %s read-only: %w", name, err)
	}
	return nil
}

func protect(target int) error {
	tree, err := unix.OpenTree(target, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	a := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &a); err != nil {
		return err
	}
	return move(tree, target)
}

// missing reports whether there is nothing to hide.
func missing(err error) bool { return err == unix.ENOENT || err == unix.ENOTDIR }
