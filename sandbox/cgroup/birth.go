// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Birth is what a process needs to be born in a cgroup. A hybrid host needs
// both parts.
type Birth struct {
	// Join are files of v1 hierarchies to which the new process, still of one
	// thread, writes "0" before it does anything else.
	Join []*os.File
	// Dir is the directory in the v2 hierarchy for clone3's CLONE_INTO_CGROUP,
	// nil where there is none.
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
//
// Neither part writes "cgroup.procs": that takes a lock over all processes of
// the machine and with it, when nobody took it lately, a grace period of RCU:
// five milliseconds, where a single thread that writes itself to "tasks" needs
// ten microseconds a hierarchy, and clone3 none that can be measured.
func (m *Manager) Birth() (_ *Birth, err error) {
	b := &Birth{Join: make([]*os.File, 0, len(m.paths))}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	opened := make(map[string]bool, len(m.paths))
	for controller, dir := range m.paths {
		if opened[dir] { // controllers mounted together
			continue
		}
		opened[dir] = true
		if controller == "" {
			if b.Dir, err = open(dir, unix.O_PATH|unix.O_DIRECTORY); err != nil {
				return nil, err
			}
			continue
		}
		f, err := open(filepath.Join(dir, "tasks"), unix.O_WRONLY)
		if err != nil {
			return nil, err
		}
		b.Join = append(b.Join, f)
	}
	return b, nil
}

// open opens without the poller that os.OpenFile would ask about the file.
func open(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup: open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
