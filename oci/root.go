// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/config"
)

// root says where the root file system is and how it is mounted.
func root(bundle string, r *specs.Root, propagation string) (config.Root, error) {
	if r == nil || r.Path == "" {
		return config.Root{}, errors.New("the bundle has no root file system")
	}
	if err := checkText("root.path", r.Path); err != nil {
		return config.Root{}, err
	}
	out := config.Root{Path: filepath.Clean(r.Path), Readonly: r.Readonly}
	if !filepath.IsAbs(r.Path) {
		out.Path = filepath.Join(bundle, r.Path)
	}
	if out.Path == "/" {
		return config.Root{}, errors.New("root.path is the host's own root")
	}
	if propagation != "" {
		o := find(propagations[:], propagation)
		if o == nil {
			return config.Root{}, fmt.Errorf("linux.rootfsPropagation %.40q is unknown", propagation)
		}
		out.Propagation = uintptr(o.flag)
	}
	return out, nil
}

// hiddenPaths are masked or read-only paths as far as they can matter: what
// lay in a mount that is not granted is not there.
func hiddenPaths(what string, list, dropped []string) ([]string, error) {
	var out []string
	for _, p := range list {
		if !path.IsAbs(p) {
			return nil, fmt.Errorf("linux.%s: %.200q is not an absolute path", what, p)
		}
		if err := checkText("linux."+what, p); err != nil {
			return nil, err
		}
		if p = path.Clean(p); !within(p, dropped) {
			out = append(out, p)
		}
	}
	return out, nil
}
