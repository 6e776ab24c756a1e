// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"fmt"
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/config"
)

// namespaces says of each kind whether it is new, joined by path, or the
// host's. A path that leads to the host's own namespace counts as the host's,
// so that nothing is granted as if the container had one to itself. The mount
// namespace is always new: it is the guest's jail.
func namespaces(linux *specs.Linux, host Host) (config.Namespaces, error) {
	n := config.Namespaces{Mount: config.Namespace{New: true}}
	var seen []specs.LinuxNamespaceType
	for _, ns := range linux.Namespaces {
		if slices.Contains(seen, ns.Type) {
			return n, fmt.Errorf("linux.namespaces: %s is there twice", ns.Type)
		}
		seen = append(seen, ns.Type)
		if err := addNamespace(&n, ns, slices.Contains(host.Joined, ns.Type)); err != nil {
			return n, fmt.Errorf("linux.namespaces: %w", err)
		}
	}
	return n, addMappings(&n, linux)
}

func addNamespace(n *config.Namespaces, ns specs.LinuxNamespace, hosts bool) error {
	if ns.Path != "" && !path.IsAbs(ns.Path) {
		return fmt.Errorf("the path %.200q of %.40s is not absolute", ns.Path, ns.Type)
	}
	if err := checkText("the path", ns.Path); err != nil {
		return err
	}
	space := config.Namespace{New: ns.Path == "", Path: ns.Path}
	if hosts {
		space = config.Namespace{}
	}
	switch ns.Type {
	case specs.NetworkNamespace:
		n.Net = space
	case specs.PIDNamespace:
		n.PID = space
	case specs.IPCNamespace:
		n.IPC = space
	case specs.UTSNamespace:
		n.UTS = space
	case specs.CgroupNamespace:
		n.Cgroup = space
	case specs.UserNamespace:
		n.User = space
	case specs.MountNamespace:
		if ns.Path != "" {
			return errors.New("a mount namespace cannot be joined: the guest's is always its own")
		}
	case specs.TimeNamespace:
		// dockerd asks for one in every container; without offsets it
		// differs in nothing.
		if ns.Path != "" {
			return errors.New("a time namespace cannot be joined by this runtime")
		}
	default:
		return fmt.Errorf("unknown kind %.40q", ns.Type)
	}
	return nil
}

// addMappings takes the ids of the user namespace. containerd gives them also
// beside a path; then they say what the joined namespace maps.
func addMappings(n *config.Namespaces, linux *specs.Linux) error {
	given := len(linux.UIDMappings) > 0 || len(linux.GIDMappings) > 0
	if !given && !n.User.New {
		return nil
	}
	if !n.User.Own() {
		return errors.New("linux.uidMappings and gidMappings need a user namespace of the container's own")
	}
	if err := checkMappings(linux.UIDMappings, linux.GIDMappings); err != nil {
		return fmt.Errorf("user namespace: %w", err)
	}
	n.UIDMappings, n.GIDMappings = linux.UIDMappings, linux.GIDMappings
	return nil
}

// names are the host and domain name, which need a UTS namespace of the
// container's own.
func names(host, domain string, uts config.Namespace) (string, string, error) {
	const longest = 64 // __NEW_UTS_LEN
	for _, name := range []string{host, domain} {
		if len(name) > longest {
			return "", "", fmt.Errorf("host name or domain name %.80q is longer than %d bytes", name, longest)
		}
		if err := checkText("hostname", name); err != nil {
			return "", "", err
		}
	}
	if (host != "" || domain != "") && !uts.Own() {
		return "", "", errors.New("a host or domain name needs a UTS namespace of the container's own")
	}
	return host, domain, nil
}
