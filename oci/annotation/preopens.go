// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package annotation

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// maxPreopens is how many directories one annotation may name; each is a
// descriptor that the guest holds from its first instruction.
const maxPreopens = 64

// parsePreopens reads a list like "/data:ro,/tmp,/srv/site=/www:ro", or none:
// the directory in the container, what the guest sees it as where that differs,
// and whether the guest may only read. The list is empty for none, never nil.
func parsePreopens(value string) ([]config.Preopen, error) {
	out := []config.Preopen{}
	value = strings.TrimSpace(value)
	if value == policy.None {
		return out, nil
	}
	for item := range strings.SplitSeq(value, ",") {
		p, err := parsePreopen(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		if named(out, p.Name) {
			return nil, fmt.Errorf("two directories are named %.80q for the guest", p.Name)
		}
		if len(out) == maxPreopens {
			return nil, fmt.Errorf("more than %d directories", maxPreopens)
		}
		out = append(out, p)
	}
	// wasi-libc gives both the same empty prefix and would use only one.
	if named(out, "/") && named(out, ".") {
		return nil, errors.New("/ and . cannot both be names for the guest")
	}
	return out, nil
}

func named(list []config.Preopen, name string) bool {
	return slices.ContainsFunc(list, func(p config.Preopen) bool { return p.Name == name })
}

func parsePreopen(item string) (config.Preopen, error) {
	rest, mode, hasMode := strings.Cut(item, ":")
	if hasMode && mode != "ro" {
		return config.Preopen{}, fmt.Errorf("%.80q: the only mode is ro, as in /data:ro", item)
	}
	dir, name, hasName := strings.Cut(rest, "=")
	if !hasName {
		name = dir
	}
	if !cleanPath(dir) {
		return config.Preopen{}, fmt.Errorf("%.80q: %.80q is not an absolute path without . and .. in it", item, dir)
	}
	if name != "." && !cleanPath(name) {
		return config.Preopen{}, fmt.Errorf("%.80q: the guest's name %.80q is neither . nor an absolute path without . and .. in it", item, name)
	}
	return config.Preopen{Path: dir, Name: name, ReadOnly: hasMode}, nil
}

func cleanPath(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && len(p) < 4096 && strings.IndexByte(p, 0) < 0
}
