// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi"
)

// TestOpenBeneath: a Unix socket's directory is found as the guest names it, and
// none is bound in a preopen that is read-only.
func TestOpenBeneath(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"srv/run", "data/run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/srv", filepath.Join(dir, "data/link")); err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	preopens := []wasi.Preopen{{Path: "/srv", Name: "/a"}, {Path: "/data", Name: "/b", ReadOnly: true}}
	for _, tc := range []struct {
		dir    string
		change bool
		want   syscall.Errno
	}{
		{"/a/run", false, 0},
		{"/a/run", true, 0},
		{"/b/run", false, 0},
		{"/b/run", true, syscall.EROFS},
		{"/a/../b/run", true, syscall.EROFS},
		{"/b/link", false, syscall.ELOOP},
		{"/c", false, syscall.ENOENT},
		{"/ab", false, syscall.ENOENT},
	} {
		fd, errno := openBeneath(preopens, root, tc.dir, tc.change)
		if errno != tc.want {
			t.Errorf("%s, change %v: %v, want %v", tc.dir, tc.change, errno, tc.want)
		}
		if errno == 0 {
			unix.Close(fd)
		}
	}
}
