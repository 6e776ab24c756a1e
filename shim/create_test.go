// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/shim/rootfs"
	"containerd-shim-wazero/shim/task"
)

// gone is a sandbox that has left nothing.
type gone struct{ task.Sandbox }

func (gone) Delete(context.Context) error { return nil }

// TestMounted: what is mounted in a bundle goes with the sandbox, before the record
// says that nothing is left.
func TestMounted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts")
	}
	bundle := t.TempDir()
	if err := os.Mkdir(rootfs.Path(bundle), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", rootfs.Path(bundle), "tmpfs", 0, "size=4k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rootfs.Unmount(bundle) })
	if err := rootfs.MountShm(bundle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rootfs.UnmountShm(bundle) })
	if err := (mounted{gone{}, bundle}).Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{rootfs.Path(bundle), rootfs.Shm(bundle)} {
		if err := os.Remove(path); err != nil {
			t.Errorf("still mounted: %v", err)
		}
	}
}
