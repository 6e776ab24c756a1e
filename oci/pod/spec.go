// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"maps"
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// oomScore and shares are those that containerd gives a pause container.
	oomScore = -998
	shares   = 2
	// nobody is whom the pause process runs as where the pod maps no users.
	nobody = 65535
)

// Joined are the paths of namespaces that containerd has made for the pod.
type Joined struct {
	Network string // "" in the host's
	User    string // the network namespace's owner, "" for a new one
}

// Spec is the bundle of the pod's pause container, as containerd's own pod
// sandboxer would write it.
func Spec(id string, c *Config, joined Joined) *specs.Spec {
	adjust, weight := oomScore, uint64(shares)
	spec := &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Args: []string{"pause"}, Cwd: "/", NoNewPrivileges: true, OOMScoreAdj: &adjust,
			User: specs.User{UID: nobody, GID: nobody},
		},
		Root:        &specs.Root{Path: "rootfs", Readonly: true},
		Annotations: annotations(id, c),
		Linux: &specs.Linux{
			Namespaces:  namespaces(c, joined),
			CgroupsPath: cgroupsPath(id, c.CgroupParent),
			Resources:   &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &weight}},
			Sysctl:      sysctls(c),
			UIDMappings: c.UIDs,
			GIDMappings: c.GIDs,
		},
	}
	if len(c.UIDs) > 0 {
		spec.Process.User = specs.User{}
	}
	if c.Network != ModeNode {
		spec.Hostname = c.Hostname
	}
	return spec
}

func annotations(id string, c *Config) map[string]string {
	all := map[string]string{}
	maps.Copy(all, c.Annotations)
	all["io.kubernetes.cri.container-type"] = "sandbox"
	all["io.kubernetes.cri.sandbox-id"] = id
	all["io.kubernetes.cri.sandbox-name"] = c.Name
	all["io.kubernetes.cri.sandbox-namespace"] = c.Namespace
	all["io.kubernetes.cri.sandbox-uid"] = c.UID
	return all
}

// namespaces are the pod's own, but those that are the node's. A pod in the
// host's network has the host's name.
func namespaces(c *Config, joined Joined) []specs.LinuxNamespace {
	all := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if c.Network != ModeNode {
		all = append(all, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: joined.Network}, specs.LinuxNamespace{Type: specs.UTSNamespace})
	}
	if c.PID != ModeNode {
		all = append(all, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}
	if c.IPC != ModeNode {
		all = append(all, specs.LinuxNamespace{Type: specs.IPCNamespace})
	}
	if len(c.UIDs) > 0 {
		all = append(all, specs.LinuxNamespace{Type: specs.UserNamespace, Path: joined.User})
	}
	return all
}

// cgroupsPath has the form of systemd's driver below a slice, as CRI gives it to
// the pod's containers.
func cgroupsPath(id, parent string) string {
	if base := path.Base(parent); strings.HasSuffix(base, ".slice") {
		return base + ":cri-containerd:" + id
	}
	return path.Join("/", parent, id)
}

// sysctls are the pod's, and those by which containerd lets every user of a pod
// bind any port and send pings.
func sysctls(c *Config) map[string]string {
	all := map[string]string{}
	if c.Network != ModeNode {
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
		if len(c.UIDs) == 0 {
			all["net.ipv4.ping_group_range"] = "0 2147483647"
		}
	}
	maps.Copy(all, c.Sysctls)
	return all
}
