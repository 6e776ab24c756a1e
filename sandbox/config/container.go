// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package config is the plain data between a bundle and its sandbox: what one
// container, and one process in it, is given. Package oci makes it from the
// bundle, package sandbox carries it out. It knows nothing that runs.
package config

import (
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Container is a bundle, read and checked.
type Container struct {
	ID string
	// Bundle is the absolute path of the bundle's folder on the host.
	Bundle string
	Root   Root
	// Mounts are carried out in this order.
	Mounts        []Mount
	Devices       []Device
	MaskedPaths   []string
	ReadonlyPaths []string
	Hostname      string
	Domainname    string
	// Sysctl are values by their path below /proc/sys ("net/ipv4/ip_forward"),
	// each of a namespace of the container's own.
	Sysctl     map[string]string
	Namespaces Namespaces
	// MountLabel is the SELinux label of mounts made here; "" for none.
	MountLabel string
	Cgroup     Cgroup
	Hooks      *specs.Hooks
	// Annotations are the bundle's, for the state that hooks read.
	Annotations map[string]string
	Process     Process
}

// Root is the root file system.
type Root struct {
	// Path is absolute, on the host.
	Path     string
	Readonly bool
	// Propagation is a mount propagation flag (unix.MS_SLAVE …), 0 for MS_REC|MS_SLAVE.
	Propagation uintptr
}

// Mount is one mount of the container, its options already parsed.
type Mount struct {
	Destination string // absolute, inside the root
	Source      string // absolute for bind mounts; else as the bundle has it
	Type        string // "bind", "tmpfs", "devpts", …
	Flags       uintptr
	ClearFlags  uintptr
	// Propagation flags (MS_PRIVATE, MS_REC|MS_SLAVE …) applied one by one after the mount.
	Propagation []uintptr
	// RecursiveSet and RecursiveClear are MOUNT_ATTR_ bits for mount_setattr
	// with AT_RECURSIVE ("rro", "rnosuid" …).
	RecursiveSet, RecursiveClear uint64
	Data                         string
	// IDMap asks for an idmapped mount; nil for none.
	IDMap *IDMap
	// CopyUp fills a new tmpfs with what it covers ("tmpcopyup").
	CopyUp bool
}

// IDMap is the mapping of an idmapped mount. Without UID and GID it is the one
// of the user namespace that the container joins.
type IDMap struct {
	UID, GID  []specs.LinuxIDMapping
	Recursive bool
}

// Device is a device node the container gets.
type Device struct {
	Path     string // absolute, inside the root
	Type     string // "c", "b", "p" or "u"
	Major    int64
	Minor    int64
	FileMode uint32
	UID, GID uint32
}

// Namespaces says for each kind whether the container has one of its own,
// joins one, or stays in the host's.
type Namespaces struct {
	Mount, Net, PID, IPC, UTS, Cgroup, User Namespace
	// UIDMappings and GIDMappings of a new user namespace; beside a path they
	// are what the caller says that the joined one has, or empty.
	UIDMappings, GIDMappings []specs.LinuxIDMapping
}

// Namespace is one namespace: absent (the host's), new, or joined by path.
type Namespace struct {
	New  bool
	Path string // absolute, "" unless joined
}

// Own reports whether the container is in a namespace other than the host's.
func (n Namespace) Own() bool { return n.New || n.Path != "" }

// Cgroup is where the container is accounted and limited.
type Cgroup struct {
	// Path of the cgroup below the hierarchies' root, for the cgroupfs driver.
	Path string
	// Optional says that the bundle names none: a rootless container goes
	// without where its user may make none.
	Optional bool
	// Slice, Prefix and Name are set instead for the systemd driver
	// ("slice:prefix:name").
	Slice, Prefix, Name string
	// Resources are never nil. Their device rules end with those of the
	// standard devices, of terminals, and of mknod.
	Resources *specs.LinuxResources
	// OOMScoreAdj of the process, nil to inherit.
	OOMScoreAdj *int
}

// Systemd reports whether the cgroup is a systemd scope.
func (c Cgroup) Systemd() bool { return c.Prefix != "" || c.Name != "" }

// Resources is a later change of limits, as Update brings it: the JSON of
// specs.LinuxResources.
type Resources = json.RawMessage
