// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgroup2

package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	// slice is where systemd puts the containers; it is named after the room.
	slice = "guests.slice"
	dir   = "/var/lib/guests"
)

func TestMain(m *testing.M) {
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "machine:", err)
		os.Exit(1)
	}
	harness.Slow(3)
	os.Exit(room.Machine(dir, m.Run))
}

// furnish proves that this is the machine that the tests are about, and puts
// the shim where the harness looks for it.
func furnish() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &fs); err != nil {
		return err
	}
	comm, _ := os.ReadFile("/proc/1/comm")
	apparmor, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if fs.Type != unix.CGROUP2_SUPER_MAGIC || string(comm) != "systemd\n" || string(apparmor) != "Y\n" {
		return fmt.Errorf("the tests need cgroup v2, systemd and AppArmor, as make test-cgroup2 has them")
	}
	root, err := harness.Root()
	if err != nil {
		return err
	}
	shim, err := os.ReadFile(filepath.Join(root, "build", "machine", harness.ShimBinary))
	if err != nil {
		return err
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bin, harness.ShimBinary), shim, 0o755)
}

// A driver makes cgroups and knows where they are.
type driver struct {
	name string
	path func(id string) string // of the spec
	dir  func(id string) string // of the kernel
}

// systemd has each container in a scope of its slice, as dockerd and kubelet
// ask for it.
var systemd = driver{
	name: "systemd",
	path: func(id string) string { return slice + ":wazero:" + id },
	dir:  func(id string) string { return filepath.Join(cgroupRoot, slice, scope(id)) },
}

var cgroupfs = driver{
	name: "cgroupfs",
	path: func(id string) string { return "/guests/" + id },
	dir:  func(id string) string { return filepath.Join(cgroupRoot, "guests", id) },
}

func scope(id string) string { return "wazero-" + id + ".scope" }

// guest is a container of the shim under test in a cgroup of the driver.
func (d driver) guest(t *testing.T, guest string, args ...string) *harness.Container {
	t.Helper()
	return d.in(harness.Shared(t).Guest(t, guest, args...))
}

func (d driver) in(c *harness.Container) *harness.Container {
	return c.Spec(func(s *specs.Spec) { s.Linux.CgroupsPath = d.path(c.ID) })
}

// file reads a file of a container's cgroup.
func (d driver) file(t *testing.T, id, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir(id), name))
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(b))
}

// both runs a test with each driver.
func both(t *testing.T, test func(*testing.T, driver)) {
	for _, d := range []driver{systemd, cgroupfs} {
		t.Run(d.name, func(t *testing.T) { test(t, d) })
	}
}
