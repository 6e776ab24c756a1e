// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// OpenRoot opens a container's root file system, with the mounts below it, as a
// detached tree.
func OpenRoot(root config.Root) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, root.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, fmt.Errorf("root file system %s: %w", root.Path, err)
	}
	tree := os.NewFile(uintptr(fd), root.Path)
	dir, err := isDir(fd)
	if err == nil && !dir {
		err = fmt.Errorf("no directory")
	}
	if err == nil && !Shared(root) {
		a := unix.MountAttr{Propagation: unix.MS_SLAVE}
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &a)
	}
	if err != nil {
		tree.Close()
		return nil, fmt.Errorf("root file system %s: %w", root.Path, err)
	}
	return tree, nil
}

// Shared reports whether mounts may propagate from the container to the host.
func Shared(root config.Root) bool { return root.Propagation&unix.MS_SHARED != 0 }

// NewRoot begins a container's file system in a new mount namespace: nothing
// mounted from here on reaches the host, and tree is attached.
func NewRoot(root config.Root, tree int) (Root, error) {
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return Root{}, fmt.Errorf("parting from the host's mounts: %w", err)
	}
	// On top of itself, where createContainer hooks look for it. Where a user
	// namespace has no way to there, anywhere else does.
	err := unix.MoveMount(tree, "", unix.AT_FDCWD, root.Path, unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err == unix.EACCES {
		err = unix.MoveMount(tree, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if err != nil {
		return Root{}, fmt.Errorf("attaching the root file system: %w", err)
	}
	if p := root.Propagation; p != 0 && !Shared(root) {
		a := unix.MountAttr{Propagation: uint64(p &^ unix.MS_REC)}
		if err := unix.MountSetattr(tree, "", recursive(p&unix.MS_REC != 0), &a); err != nil {
			return Root{}, fmt.Errorf("setting the root file system's propagation: %w", err)
		}
	}
	return Root{tree}, nil
}

// Enter makes r the process's root, read-only if wanted, and leaves everything
// else behind.
func (r Root) Enter(readonly bool) error {
	if readonly {
		a := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(r.FD, "", unix.AT_EMPTY_PATH, &a); err != nil {
			return fmt.Errorf("making the root file system read-only: %w", err)
		}
	}
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the host's root: %w", err)
	}
	defer unix.Close(old)
	if err := unix.Fchdir(r.FD); err != nil {
		return fmt.Errorf("entering the root file system: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Fchdir(old); err != nil {
		return fmt.Errorf("returning to the host's root: %w", err)
	}
	// Or the unmounting would reach the host.
	if err := unix.Mount("", ".", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("parting from the host's root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the host's root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("entering the root file system: %w", err)
	}
	return nil
}
