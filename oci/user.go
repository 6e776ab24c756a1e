// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"math"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/config"
)

// maxGroups is the kernel's NGROUPS_MAX.
const maxGroups = 65536

// user says whose permissions the kernel checks. Ids must be mapped where the
// container's user namespace maps some, or the kernel would say only "invalid
// argument".
func user(u *specs.User, ns config.Namespaces) (config.User, error) {
	if len(u.AdditionalGids) > maxGroups {
		return config.User{}, fmt.Errorf("process.user has %d groups: the kernel allows %d", len(u.AdditionalGids), maxGroups)
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		return config.User{}, fmt.Errorf("process.user.umask %#o is not within 0777", *u.Umask)
	}
	if err := checkID("user id", u.UID, ns.UIDMappings); err != nil {
		return config.User{}, err
	}
	if err := checkID("group id", u.GID, ns.GIDMappings); err != nil {
		return config.User{}, err
	}
	for _, gid := range u.AdditionalGids {
		if err := checkID("group id", gid, ns.GIDMappings); err != nil {
			return config.User{}, err
		}
	}
	return config.User{UID: u.UID, GID: u.GID, Groups: u.AdditionalGids, Umask: u.Umask}, nil
}

func checkID(what string, id uint32, mappings []specs.LinuxIDMapping) error {
	if id == math.MaxUint32 {
		return fmt.Errorf("process.user: %s %d means none", what, id)
	}
	if len(mappings) == 0 {
		return nil
	}
	for _, m := range mappings {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return nil
		}
	}
	return fmt.Errorf("process.user: %s %d is not mapped in the container's user namespace", what, id)
}
