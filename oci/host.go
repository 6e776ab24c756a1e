// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Host is what the mapping must know of the machine.
type Host struct {
	// AppArmor and SELinux say whether the kernel enforces them.
	AppArmor, SELinux bool
	// Joined are the kinds of namespace whose path in the bundle leads to
	// the host's own.
	Joined []specs.LinuxNamespaceType
}

// Inspect learns what the mapping of a bundle must know of the machine, and
// looks at nothing that the bundle does not ask for. The process is the one of
// the spec, or an exec's; linux is nil for an exec.
// The error is errdefs.ErrNotFound where a namespace's path leads nowhere.
func Inspect(process *specs.Process, linux *specs.Linux) (Host, error) {
	var h Host
	if process != nil {
		h.AppArmor = process.ApparmorProfile != "" && hasAppArmor()
		h.SELinux = process.SelinuxLabel != "" && hasSELinux()
	}
	if linux == nil {
		return h, nil
	}
	for _, ns := range linux.Namespaces {
		own, ok := ownNamespace(ns.Type)
		if !ok || ns.Path == "" {
			continue
		}
		same, err := sameFile(ns.Path, own)
		if errors.Is(err, os.ErrNotExist) {
			// dockerd would take "no such file or directory" for the module's.
			return h, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("join the %s namespace: %.200q does not exist", ns.Type, ns.Path))
		}
		if err != nil {
			return h, fmt.Errorf("join the %s namespace: %w", ns.Type, err)
		}
		if same {
			h.Joined = append(h.Joined, ns.Type)
		}
	}
	return h, nil
}

func ownNamespace(kind specs.LinuxNamespaceType) (string, bool) {
	switch kind {
	case specs.NetworkNamespace:
		return "/proc/self/ns/net", true
	case specs.PIDNamespace:
		return "/proc/self/ns/pid", true
	case specs.IPCNamespace:
		return "/proc/self/ns/ipc", true
	case specs.UTSNamespace:
		return "/proc/self/ns/uts", true
	case specs.CgroupNamespace:
		return "/proc/self/ns/cgroup", true
	case specs.UserNamespace:
		return "/proc/self/ns/user", true
	}
	return "", false
}

func sameFile(a, b string) (bool, error) {
	var sa, sb unix.Stat_t
	if err := unix.Stat(a, &sa); err != nil {
		return false, &os.PathError{Op: "stat", Path: a, Err: err}
	}
	if err := unix.Stat(b, &sb); err != nil {
		return false, &os.PathError{Op: "stat", Path: b, Err: err}
	}
	return sa.Dev == sb.Dev && sa.Ino == sb.Ino, nil
}

func hasAppArmor() bool {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && bytes.HasPrefix(enabled, []byte("Y"))
}

func hasSELinux() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/selinux", &fs) == nil && uint32(fs.Type) == unix.SELINUX_MAGIC
}
