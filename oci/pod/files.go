// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// devShm is the one place that is a folder and not a file.
const devShm = "/dev/shm"

// files are what a pod's containers share, by their path there, and their name in
// the bundle of the pod's sandbox. Under this API the shim provides them.
var files = map[string]string{"/etc/hosts": "hosts", "/etc/hostname": "hostname", "/etc/resolv.conf": "resolv.conf"}

// WriteFiles makes the files in the bundle of the pod's sandbox.
func WriteFiles(bundle string, c *Config) error {
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("make the pod's hosts: %w", err)
	}
	hostname := c.Hostname
	if hostname == "" {
		if hostname, err = os.Hostname(); err != nil {
			return fmt.Errorf("make the pod's hostname: %w", err)
		}
	}
	resolv, err := c.DNS.resolvConf()
	if err != nil {
		return fmt.Errorf("make the pod's resolv.conf: %w", err)
	}
	for name, text := range map[string]string{"hosts": string(hosts), "hostname": hostname + "\n", "resolv.conf": resolv} {
		if err := os.WriteFile(filepath.Join(bundle, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("make the pod's %s: %w", name, err)
		}
	}
	return nil
}

// resolvConf is the text of the file; without any setting it is the host's.
func (d DNS) resolvConf() (string, error) {
	var b strings.Builder
	if len(d.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(d.Searches, " "))
	}
	for _, server := range d.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(d.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(d.Options, " "))
	}
	if b.Len() > 0 {
		return b.String(), nil
	}
	host, err := os.ReadFile("/etc/resolv.conf")
	if os.IsNotExist(err) {
		err = nil
	}
	return string(host), err
}

// AddFiles mounts the files in a container of the pod whose sandbox has this
// bundle, but those that the container brings itself. The folder shm becomes its
// /dev/shm, instead of the one of its own with which every specification begins.
func AddFiles(spec *specs.Spec, bundle, shm string) {
	spec.Mounts = slices.DeleteFunc(slices.Clone(spec.Mounts), func(m specs.Mount) bool {
		return m.Type == "tmpfs" && filepath.Clean(m.Destination) == devShm
	})
	addMount(spec, shm, devShm, "rw")
	access := "rw"
	if spec.Root != nil && spec.Root.Readonly {
		access = "ro"
	}
	for _, target := range slices.Sorted(maps.Keys(files)) {
		addMount(spec, filepath.Join(bundle, files[target]), target, access)
	}
}

func addMount(spec *specs.Spec, source, target, access string) {
	if !slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool { return filepath.Clean(m.Destination) == target }) {
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Type: "bind", Source: source, Destination: target, Options: []string{"rbind", "rprivate", access},
		})
	}
}
