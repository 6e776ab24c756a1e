// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Birth is what a process needs to be born in a cgroup. One of its two fields
// is set.
type Birth struct {
	// Join are files (v1) to which the new, still single-threaded process
	// writes "0" before it does anything else.
	Join []*os.File
	// Dir is the cgroup's directory (v2), for clone3's CLONE_INTO_CGROUP.
	Dir *os.File
}

// Close closes the files; also on nil.
func (b *Birth) Close() {
	if b == nil {
		return
	}
	for _, f := range b.Join {
		f.Close()
	}
	if b.Dir != nil {
		b.Dir.Close()
	}
}

// Birth opens the cgroup for a new process. The caller closes the result.
func (m *Manager) Birth() (*Birth, error) {
	if m.unified {
		dir, err := os.OpenFile(m.paths[""], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		return &Birth{Dir: dir}, nil
	}
	b := &Birth{Join: make([]*os.File, 0, len(m.paths))}
	opened := make(map[string]bool, len(m.paths))
	for controller, dir := range m.paths {
		if opened[dir] { // controllers mounted together
			continue
		}
		opened[dir] = true
		// Written by a single thread for itself, "tasks" spares the kernel a lock
		// over all processes (and a grace period of RCU) that "cgroup.procs" takes.
		file := "tasks"
		if controller == "" {
			file = "cgroup.procs" // the v2 hierarchy has no other
		}
		fd, err := unix.Open(filepath.Join(dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			b.Close()
			return nil, fmt.Errorf("cgroup: open %s: %w", filepath.Join(dir, file), err)
		}
		b.Join = append(b.Join, os.NewFile(uintptr(fd), file))
	}
	return b, nil
}
