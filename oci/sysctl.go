// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"fmt"
	"strings"

	"containerd-shim-wazero/sandbox/config"
)

// sysctls checks that each is of a namespace that the container has to itself,
// and gives them by their path below /proc/sys ("net/ipv4/ip_forward").
func sysctls(in map[string]string, ns config.Namespaces) (map[string]string, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(in))
	for name, value := range in {
		p, err := sysctlPath(name)
		if err == nil {
			err = sysctlAllowed(p, ns)
		}
		if err != nil {
			return nil, fmt.Errorf("linux.sysctl %.80q: %w", name, err)
		}
		if err := checkText("linux.sysctl: the value", value); err != nil {
			return nil, err
		}
		out[p] = value
	}
	return out, nil
}

// sysctlPath turns a name into a path, as sysctl(8) does: the first separator
// says which of "." and "/" separates; the other is then part of a name
// ("net.ipv4.conf.eth0/1.forwarding").
func sysctlPath(name string) (string, error) {
	p := name
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		p = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return "", errors.New("not a name of a kernel parameter")
		}
	}
	return p, checkText("the name", p)
}

// sysctlAllowed is runc's list of what is namespaced.
func sysctlAllowed(p string, ns config.Namespaces) error {
	kind, own := "", false
	switch {
	case strings.HasPrefix(p, "net/"):
		kind, own = "network", ns.Net.Own()
	case strings.HasPrefix(p, "fs/mqueue/"):
		kind, own = "IPC", ns.IPC.Own()
	case strings.HasPrefix(p, "user/"):
		kind, own = "user", ns.User.Own()
	default:
		switch p {
		case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
			"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced":
			kind, own = "IPC", ns.IPC.Own()
		case "kernel/domainname":
			kind, own = "UTS", ns.UTS.Own()
		case "kernel/hostname":
			return errors.New("set the bundle's hostname instead")
		default:
			return errors.New("it is of the whole machine, not of a namespace")
		}
	}
	if !own {
		return fmt.Errorf("not allowed in the host's %s namespace", kind)
	}
	return nil
}
