// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package room

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Bridge is the address of the room's node on its own bridge, node0.
const Bridge = "192.168.99.1"

// furnish turns fresh namespaces into a small machine of their own.
func furnish(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, sub := range []string{"tmp", "lib", "log", "etc/upper", "etc/work", "cgroup"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	// In a container these are mounts of the engine's, which the overlay does
	// not have.
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		if body, err := os.ReadFile(filepath.Join("/etc", name)); err == nil {
			if err := os.WriteFile(filepath.Join(dir, "etc/upper", name), body, 0o644); err != nil {
				return err
			}
		}
	}
	cgroup := filepath.Join(dir, "cgroup")
	layers := fmt.Sprintf("lowerdir=/etc,upperdir=%s/etc/upper,workdir=%s/etc/work", dir, dir)
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{filepath.Join(dir, "lib"), "/var/lib", "", unix.MS_BIND, ""},
		{filepath.Join(dir, "log"), "/var/log", "", unix.MS_BIND, ""}, // a kubelet clears away what it does not know
		{"etc", "/etc", "overlay", 0, layers},
		// A new network namespace has a /sys of its own; the cgroups move over.
		{"/sys/fs/cgroup", cgroup, "", unix.MS_BIND | unix.MS_REC, ""},
		{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{cgroup, "/sys/fs/cgroup", "", unix.MS_BIND | unix.MS_REC, ""},
		{"", "/", "", unix.MS_REC | unix.MS_SHARED, ""},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := unix.Unmount(cgroup, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", cgroup, err)
	}
	return network()
}

func network() error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "node0", "type", "bridge"},
		{"addr", "add", Bridge + "/24", "dev", "node0"},
		{"link", "set", "node0", "up"},
		{"route", "add", "default", "via", "192.168.99.2"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}
