// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/config"
)

// cgroup says where the container is accounted and what limits it has.
func cgroup(id string, linux *specs.Linux, oomScoreAdj *int) (config.Cgroup, error) {
	c, err := cgroupPath(id, linux.CgroupsPath)
	if err != nil {
		return c, err
	}
	if oomScoreAdj != nil && (*oomScoreAdj < -1000 || *oomScoreAdj > 1000) {
		return c, fmt.Errorf("process.oomScoreAdj %d is not from -1000 to 1000", *oomScoreAdj)
	}
	c.OOMScoreAdj = oomScoreAdj
	c.Resources, err = resources(linux.Resources)
	return c, err
}

// cgroupPath knows both forms of cgroupsPath: a path below the hierarchies'
// root, and "slice:prefix:name" for a scope that systemd makes. The form says
// which, since runtimes other than runc get no option that would.
func cgroupPath(id, p string) (config.Cgroup, error) {
	if err := checkText("linux.cgroupsPath", p); err != nil {
		return config.Cgroup{}, err
	}
	if parts := strings.Split(p, ":"); len(parts) == 3 && !strings.Contains(p, "/") &&
		(parts[0] == "" || strings.HasSuffix(parts[0], ".slice")) {
		if parts[2] == "" {
			return config.Cgroup{}, fmt.Errorf("linux.cgroupsPath %.200q names no scope", p)
		}
		return config.Cgroup{Slice: parts[0], Prefix: parts[1], Name: parts[2]}, nil
	}
	optional := p == ""
	if optional {
		p = id
	}
	clean := path.Clean("/" + p)
	if clean == "/" {
		return config.Cgroup{}, fmt.Errorf("linux.cgroupsPath %.200q is the root, which holds the whole machine", p)
	}
	return config.Cgroup{Path: clean, Optional: optional}, nil
}

// resources are the bundle's limits; what no kernel could take is refused. To
// the device rules come those of the standard devices, of terminals and, for
// making the nodes, mknod: runc adds the same.
func resources(r *specs.LinuxResources) (*specs.LinuxResources, error) {
	var out specs.LinuxResources
	if r != nil {
		out = *r
	}
	for i, d := range out.Devices {
		switch d.Type {
		case "", "a", "b", "c":
		default:
			return nil, fmt.Errorf("linux.resources.devices[%d] has the unknown type %.40q", i, d.Type)
		}
		if d.Access == "" || strings.Trim(d.Access, "rwm") != "" {
			return nil, fmt.Errorf("linux.resources.devices[%d]: access %.40q is not of r, w and m", i, d.Access)
		}
	}
	out.Devices = append(slices.Clone(out.Devices), standardRules()...)
	return &out, nil
}

func standardRules() []specs.LinuxDeviceCgroup {
	rules := []specs.LinuxDeviceCgroup{
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"},
	}
	for _, d := range standardDevices {
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: "rwm"})
	}
	pts := int64(136) // UNIX98_PTY_SLAVE_MAJOR
	return append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &pts, Access: "rwm"})
}
