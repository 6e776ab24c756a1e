// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// watch notes the kernel's kills for want of memory as they happen. A cgroup of
// our own keeps its counters until it is destroyed; systemd removes a scope
// within milliseconds of its last process, and with it what was counted.
func (m *Manager) watch() error {
	open := m.watchV1
	if m.unified {
		open = m.watchV2
	}
	fd, err := open()
	if err != nil {
		return fmt.Errorf("watch for kills for want of memory: %w", err)
	}
	m.watched = os.NewFile(uintptr(fd), "memory events")
	go func(f *os.File) {
		buf := make([]byte, 512)
		for {
			if _, err := f.Read(buf); err != nil {
				return // closed by Destroy
			}
			if n := m.OOMKills(); n > 0 {
				_, _ = m.Stats() // which keeps what it says
			}
		}
	}(m.watched)
	return nil
}

// watchV2 is an inotify descriptor that reads when memory.events changes.
func (m *Manager) watchV2() (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, err
	}
	path := filepath.Join(m.paths[""], "memory.events")
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return fd, nil
}

// watchV1 is an eventfd that reads when the memory cgroup runs out, and when it
// is removed.
func (m *Manager) watchV1() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, err
	}
	dir := m.paths["memory"]
	control, err := unix.Open(filepath.Join(dir, "memory.oom_control"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = write(dir, "cgroup.event_control", strconv.Itoa(fd)+" "+strconv.Itoa(control))
		unix.Close(control)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
