// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// TestDeviceIsSwapped: who can write to the folder of a device, as to a volume
// that another container has too, cannot turn the node's mode on a file of the
// host by putting a link in the node's place.
func TestDeviceIsSwapped(t *testing.T) {
	old := unix.Umask(0) // as the sandbox process has it
	defer unix.Umask(old)
	dir := t.TempDir()
	victim := filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	node, link := filepath.Join(dir, "node"), filepath.Join(dir, "link")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if unix.Access(node, unix.F_OK) == nil {
				_ = os.Symlink(victim, link)
				_ = os.Rename(link, node)
			}
		}
	}()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	d := &config.Device{Path: "/node", Type: "c", Major: 1, Minor: 3, FileMode: 0o666}
	for range 5000 {
		_ = Root{fd}.Device(d) // often fails, as something else lies there
		_ = os.Remove(node)
	}
	close(stop)
	<-stopped
	if st, err := os.Stat(victim); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the host's file has the mode %v (%v)", st.Mode(), err)
	}
}

// TestDevice: a node has the mode that it shall have.
func TestDevice(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	d := &config.Device{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: 0o666, UID: 5, GID: 6}
	if err := (Root{fd}).Device(d); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "dev/null"), &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode != unix.S_IFCHR|0o666 || st.Uid != 5 || st.Gid != 6 || st.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("mode %o, owner %d:%d, device %x", st.Mode, st.Uid, st.Gid, st.Rdev)
	}
}

// TestNodes: so have those made for a user namespace, whatever the umask.
func TestNodes(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	nodes, err := Nodes([]config.Device{{Path: "/dev/full", Type: "c", Major: 1, Minor: 7, FileMode: 0o666}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nodes[0].Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(nodes[0].Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode != unix.S_IFCHR|0o666 {
		t.Errorf("mode %o", st.Mode)
	}
	if now := unix.Umask(0o077); now != 0o077 {
		t.Errorf("the process's umask became %o", now)
	}
}
