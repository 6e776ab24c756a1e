// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package rootfs has what is mounted in a bundle: its root file system, and a pod's
// /dev/shm.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// maxLayers bounds the mounts on top of each other.
const maxLayers = 64

// Path of a bundle's root file system, where the shim mounts it.
func Path(bundle string) string { return path.Join(bundle, "rootfs") }

// Unmount unmounts whatever is on Path, with all below it. Nothing mounted is
// no error.
func Unmount(bundle string) error { return unmount(Path(bundle)) }

// Shm is the path in a sandbox's bundle of the pod's /dev/shm, where the sandbox API
// leaves it to the shim.
func Shm(bundle string) string { return path.Join(bundle, "shm") }

// MountShm mounts an empty file system on Shm, of the size that containerd gives it.
func MountShm(bundle string) error {
	target := Shm(bundle)
	if err := os.Mkdir(target, 0o700); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make the pod's /dev/shm: %w", err)
	}
	const flags = unix.MS_NOEXEC | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount("shm", target, "tmpfs", flags, "mode=1777,size=65536k"); err != nil {
		return fmt.Errorf("mount the pod's /dev/shm: %w", err)
	}
	return nil
}

// UnmountShm unmounts it. Nothing mounted is no error.
func UnmountShm(bundle string) error { return unmount(Shm(bundle)) }

func unmount(target string) error {
	for range maxLayers {
		err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			// Mounts below it, or a process that is still on its way out.
			err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		}
		switch {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil // no mount point
		case err != nil:
			return fmt.Errorf("unmount %s: %w", target, err)
		}
	}
	return fmt.Errorf("unmount %s: more than %d mounts: %w", target, maxLayers, unix.ELOOP)
}
