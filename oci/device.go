// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/config"
)

// standardDevices are in every container (OCI runtime specification, "Default
// Devices"), without ptmx: no WASI call makes a terminal.
var standardDevices = [...]config.Device{
	{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: 0o666},
	{Path: "/dev/zero", Type: "c", Major: 1, Minor: 5, FileMode: 0o666},
	{Path: "/dev/full", Type: "c", Major: 1, Minor: 7, FileMode: 0o666},
	{Path: "/dev/random", Type: "c", Major: 1, Minor: 8, FileMode: 0o666},
	{Path: "/dev/urandom", Type: "c", Major: 1, Minor: 9, FileMode: 0o666},
	{Path: "/dev/tty", Type: "c", Major: 5, Minor: 0, FileMode: 0o666},
}

// devices are the nodes to make: the standard ones and the bundle's, which
// stand for a standard one of the same path. Where the bundle binds a /dev of
// its own, as with runc, nothing is made in it.
func devices(list []specs.LinuxDevice, mounts []config.Mount) ([]config.Device, error) {
	var out []config.Device
	for i := range list {
		d, err := device(&list[i])
		if err != nil {
			return nil, err
		}
		if d.Path == "/dev/ptmx" || d.Path == "/dev/console" {
			continue
		}
		out = append(out, d)
	}
	if slices.ContainsFunc(mounts, func(m config.Mount) bool { return m.Destination == "/dev" && m.Type == "bind" }) {
		return nil, nil
	}
	standard := slices.DeleteFunc(slices.Clone(standardDevices[:]), func(d config.Device) bool {
		return slices.ContainsFunc(out, func(o config.Device) bool { return o.Path == d.Path })
	})
	return append(standard, out...), nil
}

func device(in *specs.LinuxDevice) (config.Device, error) {
	d := config.Device{Path: path.Clean(in.Path), Type: in.Type, Major: in.Major, Minor: in.Minor, FileMode: 0o666}
	if !path.IsAbs(in.Path) || d.Path == "/" {
		return d, fmt.Errorf("linux.devices: %.80q is not an absolute path", in.Path)
	}
	if err := checkText("linux.devices", in.Path); err != nil {
		return d, err
	}
	switch in.Type {
	case "b", "c", "u":
		// The kernel's device number has 12 bits for one part and 20 for the other.
		if d.Major < 0 || d.Major >= 1<<12 || d.Minor < 0 || d.Minor >= 1<<20 {
			return d, fmt.Errorf("linux.devices: %.200s has no possible number %d:%d", d.Path, d.Major, d.Minor)
		}
	case "p":
		d.Major, d.Minor = 0, 0
	default:
		return d, fmt.Errorf("linux.devices: %.200s has the unknown type %.40q", d.Path, in.Type)
	}
	if in.FileMode != nil {
		d.FileMode = uint32(*in.FileMode) & 0o777
	}
	if in.UID != nil {
		d.UID = *in.UID
	}
	if in.GID != nil {
		d.GID = *in.GID
	}
	return d, nil
}
