// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package room

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// Cgroups lists the cgroups of the room in every hierarchy, parents first.
func Cgroups(name string) []string {
	var found []string
	tops, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", name+"*"))
	unified, _ := filepath.Glob(filepath.Join(cgroupRoot, name+"*"))
	for _, top := range append(tops, unified...) {
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// thaw wakes what a test left paused: a process frozen by a v1 cgroup cannot
// be killed, and the room would never end.
func thaw() {
	for _, group := range Cgroups(Name()) {
		state := filepath.Join(group, "freezer.state")
		if b, err := os.ReadFile(state); err == nil && !strings.HasPrefix(string(b), "THAWED") {
			_ = os.WriteFile(state, []byte("THAWED"), 0)
		}
	}
}

// sweep removes the cgroups of a room that has ended.
func sweep(name string) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		groups := Cgroups(name)
		if len(groups) == 0 {
			return
		}
		for i := len(groups) - 1; i >= 0; i-- {
			_ = os.Remove(groups[i])
		}
		time.Sleep(10 * time.Millisecond)
	}
}
