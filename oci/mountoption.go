// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// flagOption is a mount option that sets a flag, or clears it. The tables below
// are those of the OCI runtime specification ("Linux mount options").
type flagOption struct {
	name  string
	clear bool
	flag  uint64
}

// mountFlags are flags of mount(2).
var mountFlags = [...]flagOption{
	{"async", true, unix.MS_SYNCHRONOUS},
	{"atime", true, unix.MS_NOATIME},
	{"bind", false, unix.MS_BIND},
	{"defaults", false, 0},
	{"dev", true, unix.MS_NODEV},
	{"diratime", true, unix.MS_NODIRATIME},
	{"dirsync", false, unix.MS_DIRSYNC},
	{"exec", true, unix.MS_NOEXEC},
	{"iversion", false, unix.MS_I_VERSION},
	{"lazytime", false, unix.MS_LAZYTIME},
	{"loud", true, unix.MS_SILENT},
	{"mand", false, unix.MS_MANDLOCK},
	{"noatime", false, unix.MS_NOATIME},
	{"nodev", false, unix.MS_NODEV},
	{"nodiratime", false, unix.MS_NODIRATIME},
	{"noexec", false, unix.MS_NOEXEC},
	{"noiversion", true, unix.MS_I_VERSION},
	{"nolazytime", true, unix.MS_LAZYTIME},
	{"nomand", true, unix.MS_MANDLOCK},
	{"norelatime", true, unix.MS_RELATIME},
	{"nostrictatime", true, unix.MS_STRICTATIME},
	{"nosuid", false, unix.MS_NOSUID},
	{"nosymfollow", false, unix.MS_NOSYMFOLLOW},
	{"rbind", false, unix.MS_BIND | unix.MS_REC},
	{"relatime", false, unix.MS_RELATIME},
	{"remount", false, unix.MS_REMOUNT},
	{"ro", false, unix.MS_RDONLY},
	{"rw", true, unix.MS_RDONLY},
	{"silent", false, unix.MS_SILENT},
	{"strictatime", false, unix.MS_STRICTATIME},
	{"suid", true, unix.MS_NOSUID},
	{"symfollow", true, unix.MS_NOSYMFOLLOW},
	{"sync", false, unix.MS_SYNCHRONOUS},
}

// propagations are flags of mount(2) that stand alone.
var propagations = [...]flagOption{
	{"private", false, unix.MS_PRIVATE},
	{"rprivate", false, unix.MS_PRIVATE | unix.MS_REC},
	{"rshared", false, unix.MS_SHARED | unix.MS_REC},
	{"rslave", false, unix.MS_SLAVE | unix.MS_REC},
	{"runbindable", false, unix.MS_UNBINDABLE | unix.MS_REC},
	{"shared", false, unix.MS_SHARED},
	{"slave", false, unix.MS_SLAVE},
	{"unbindable", false, unix.MS_UNBINDABLE},
}

// recursiveAttributes are attributes of mount_setattr(2) for a whole tree.
var recursiveAttributes = [...]flagOption{
	{"ratime", true, unix.MOUNT_ATTR_NOATIME},
	{"rdev", true, unix.MOUNT_ATTR_NODEV},
	{"rdiratime", true, unix.MOUNT_ATTR_NODIRATIME},
	{"rexec", true, unix.MOUNT_ATTR_NOEXEC},
	{"rnoatime", false, unix.MOUNT_ATTR_NOATIME},
	{"rnodev", false, unix.MOUNT_ATTR_NODEV},
	{"rnodiratime", false, unix.MOUNT_ATTR_NODIRATIME},
	{"rnoexec", false, unix.MOUNT_ATTR_NOEXEC},
	{"rnorelatime", true, unix.MOUNT_ATTR_RELATIME},
	{"rnostrictatime", true, unix.MOUNT_ATTR_STRICTATIME},
	{"rnosuid", false, unix.MOUNT_ATTR_NOSUID},
	{"rnosymfollow", false, unix.MOUNT_ATTR_NOSYMFOLLOW},
	{"rrelatime", false, unix.MOUNT_ATTR_RELATIME},
	{"rro", false, unix.MOUNT_ATTR_RDONLY},
	{"rrw", true, unix.MOUNT_ATTR_RDONLY},
	{"rstrictatime", false, unix.MOUNT_ATTR_STRICTATIME},
	{"rsuid", true, unix.MOUNT_ATTR_NOSUID},
	{"rsymfollow", true, unix.MOUNT_ATTR_NOSYMFOLLOW},
}

// MountOptions are the mount options that are carried out here, sorted; all
// others are handed to the file system. They are a feature that `-info` tells.
func MountOptions() []string {
	names := []string{"idmap", "ridmap", "tmpcopyup"}
	for _, table := range [][]flagOption{mountFlags[:], propagations[:], recursiveAttributes[:]} {
		for _, o := range table {
			names = append(names, o.name)
		}
	}
	slices.Sort(names)
	return names
}

func find(table []flagOption, name string) *flagOption {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

// parseOptions sets the mount's flags, attributes and data from its options.
func parseOptions(m *config.Mount, options []string) (idmap idmapMode, copyUp bool) {
	var data []string
	for _, name := range options {
		if o := find(mountFlags[:], name); o != nil {
			setFlag(m, o)
		} else if o := find(propagations[:], name); o != nil {
			m.Propagation = append(m.Propagation, uintptr(o.flag))
		} else if o := find(recursiveAttributes[:], name); o != nil {
			setRecursive(m, o)
		} else if name == "idmap" {
			idmap = idmapTop
		} else if name == "ridmap" {
			idmap = idmapRecursive
		} else if name == "tmpcopyup" {
			copyUp = true
		} else {
			data = append(data, name)
		}
	}
	m.Data = strings.Join(data, ",")
	return idmap, copyUp
}

func setFlag(m *config.Mount, o *flagOption) {
	flag := uintptr(o.flag)
	if o.clear {
		m.Flags &^= flag
		m.ClearFlags |= flag
		return
	}
	m.Flags |= flag
	m.ClearFlags &^= flag
}

func setRecursive(m *config.Mount, o *flagOption) {
	if o.clear {
		m.RecursiveClear |= o.flag
		m.RecursiveSet &^= o.flag
	} else {
		m.RecursiveSet |= o.flag
		m.RecursiveClear &^= o.flag
	}
	// The access time attributes are one field of two bits, which
	// mount_setattr(2) wants cleared as a whole before one is set.
	if o.flag&unix.MOUNT_ATTR__ATIME == o.flag {
		m.RecursiveClear |= unix.MOUNT_ATTR__ATIME
	}
}
