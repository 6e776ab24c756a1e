// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// capabilities gives the bit set of what the process keeps: of the bundle's
// capabilities those a call of WASI can make use of. As with a Linux program
// after execve(2), root has what is effective and within the bounding set,
// anybody else only the ambient ones.
func capabilities(c *specs.LinuxCapabilities, uid uint32) uint64 {
	if c == nil {
		return 0
	}
	if uid != 0 {
		return capabilitySet(c.Ambient)
	}
	return capabilitySet(c.Effective) & capabilitySet(c.Bounding)
}

// capabilitySet leaves out what it does not know: so does runc, since callers
// name the capabilities of newer kernels too.
func capabilitySet(names []string) (set uint64) {
	for _, name := range names {
		switch strings.ToUpper(name) {
		case "CAP_DAC_OVERRIDE":
			set |= 1 << unix.CAP_DAC_OVERRIDE
		case "CAP_DAC_READ_SEARCH":
			set |= 1 << unix.CAP_DAC_READ_SEARCH
		case "CAP_FOWNER":
			set |= 1 << unix.CAP_FOWNER
		case "CAP_FSETID":
			set |= 1 << unix.CAP_FSETID
		case "CAP_NET_BIND_SERVICE":
			set |= 1 << unix.CAP_NET_BIND_SERVICE
		}
	}
	return set
}

// seccomp passes the bundle's profile on; one that says nothing is none.
func seccomp(s *specs.LinuxSeccomp) *specs.LinuxSeccomp {
	if s == nil || s.DefaultAction == "" && len(s.Syscalls) == 0 {
		return nil
	}
	return s
}

// appArmor is the profile to enter, "" for none.
func appArmor(profile string, host Host) (string, error) {
	if profile == "" || profile == "unconfined" {
		return "", nil
	}
	if !host.AppArmor {
		return "", errors.New("process.apparmorProfile is set, but AppArmor is not enabled on this machine")
	}
	return profile, checkText("process.apparmorProfile", profile)
}

// seLinux is the label to run with, "" for none.
func seLinux(label string, host Host) (string, error) {
	if label == "" {
		return "", nil
	}
	if !host.SELinux {
		return "", errors.New("process.selinuxLabel is set, but SELinux is not enabled on this machine")
	}
	return label, checkText("process.selinuxLabel", label)
}
