// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// hooks checks what is run on the container's behalf and passes it on, nil for
// none.
func hooks(h *specs.Hooks) (*specs.Hooks, error) {
	if h == nil {
		return nil, nil
	}
	some := false
	for _, kind := range []struct {
		name string
		list []specs.Hook
	}{
		//lint:ignore SA1019 deprecated, and still in use
		{"prestart", h.Prestart},
		{"createRuntime", h.CreateRuntime},
		{"createContainer", h.CreateContainer},
		{"startContainer", h.StartContainer},
		{"poststart", h.Poststart},
		{"poststop", h.Poststop},
	} {
		for i := range kind.list {
			if err := checkHook(&kind.list[i]); err != nil {
				return nil, fmt.Errorf("hooks.%s[%d]: %w", kind.name, i, err)
			}
			some = true
		}
	}
	if !some {
		return nil, nil
	}
	return h, nil
}

func checkHook(h *specs.Hook) error {
	if !path.IsAbs(h.Path) {
		return fmt.Errorf("the path %.200q is not absolute", h.Path)
	}
	if h.Timeout != nil && *h.Timeout <= 0 {
		return fmt.Errorf("the timeout %d is not above 0", *h.Timeout)
	}
	if err := checkText("the path", h.Path); err != nil {
		return err
	}
	for _, list := range [][]string{h.Args, h.Env} {
		for _, s := range list {
			if err := checkText("an argument or variable", s); err != nil {
				return err
			}
		}
	}
	return nil
}
