// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package rootfs unmounts a bundle's root file system.
package rootfs

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// maxLayers bounds the mounts on top of each other.
const maxLayers = 64

// Path of a bundle's root file system, where the shim mounts it.
func Path(bundle string) string { return path.Join(bundle, "rootfs") }

// Unmount unmounts whatever is on Path, with all below it. Nothing mounted is
// no error.
func Unmount(bundle string) error {
	target := Path(bundle)
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
