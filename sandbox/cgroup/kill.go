// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// killPatience is how long a killed cgroup may take to become empty when the
// caller's context has no deadline.
const killPatience = 10 * time.Second

// freezePatience is how long a busy machine may take to stop every process.
const freezePatience = 10 * time.Second

// Freeze stops every process of the container, within the kernel.
func (m *Manager) Freeze() error {
	if m.None() {
		return errNone
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// On v1 the driver gives up when a process that is about to stop does not
	// get a processor for some hundred milliseconds.
	for end := time.Now().Add(freezePatience); ; {
		err := m.driver.Freeze(cgroups.Frozen)
		if err == nil {
			return nil
		}
		if m.unified || gone(err) || time.Now().After(end) {
			return fmt.Errorf("cgroup: freeze %s: %w", m.name(), err)
		}
	}
}

// Thaw lets the container's processes go on.
func (m *Manager) Thaw() error {
	if m.None() {
		return errNone
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.driver.Freeze(cgroups.Thawed); err != nil {
		return fmt.Errorf("cgroup: thaw %s: %w", m.name(), err)
	}
	return nil
}

// Pids are the container's processes, sub-cgroups included; none when the
// cgroup is gone.
func (m *Manager) Pids() ([]int, error) {
	pids, err := m.members()
	if err != nil {
		return nil, fmt.Errorf("cgroup: processes of %s: %w", m.name(), err)
	}
	return pids, nil
}

// members are the processes in the cgroup but for the holder of a scope.
func (m *Manager) members() ([]int, error) {
	if m.None() {
		return nil, nil
	}
	pids, err := cgroups.GetAllPids(m.procs())
	if gone(err) {
		return nil, nil
	}
	if holder := m.holder.Load().pid(); holder != 0 {
		pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == holder })
	}
	return pids, err
}

// procs is the directory whose cgroup.procs speaks for the container: on v1 the
// freezer's, since killing depends on it.
func (m *Manager) procs() string {
	if m.unified {
		return m.paths[""]
	}
	if dir := m.paths["freezer"]; dir != "" {
		return dir
	}
	return m.paths["devices"]
}

// Kill ends every process of the container, frozen ones too, and returns when
// none is left. The cgroup is thawed then. It waits for no lock: a change of
// limits, or a freeze that takes its time, must not hold it up.
func (m *Manager) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		pids, err := m.members()
		if err == nil && len(pids) == 0 {
			return nil
		}
		if err == nil {
			err = m.signal(pids)
		}
		if err != nil {
			return fmt.Errorf("cgroup: kill %s: %w", m.name(), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cgroup: %d processes of %s do not end: %w", len(pids), m.name(), errors.Join(ctx.Err(), errdefs.ErrUnavailable))
		case <-time.After(wait):
		}
	}
}

// signal sends SIGKILL to what is in the cgroup now.
func (m *Manager) signal(pids []int) error {
	if m.unified {
		return ignoreGone(m.signalV2(pids))
	}
	freezer := m.paths["freezer"]
	if freezer == "" {
		kill(pids)
		return nil
	}
	// Frozen, nothing can fork, and no pid of the list can end and be another's
	// before the signal. It takes effect when they are thawed.
	if err := write(freezer, "freezer.state", string(cgroups.Frozen)); err != nil {
		return ignoreGone(err)
	}
	pids, err := m.members()
	kill(pids)
	return errors.Join(err, ignoreGone(write(freezer, "freezer.state", string(cgroups.Thawed))))
}

// signalV2 kills frozen processes, too, and thaws for who comes after them.
func (m *Manager) signalV2(pids []int) error {
	if m.holder.Load() != nil {
		kill(pids) // all but the holder
	} else if err := write(m.paths[""], "cgroup.kill", "1"); err != nil {
		return err
	}
	return write(m.paths[""], "cgroup.freeze", "0")
}

// kill kills processes; one that cannot be found has ended.
func kill(pids []int) {
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// Destroy kills what is left in the cgroup and removes it. It succeeds when
// there is nothing to remove.
func (m *Manager) Destroy(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.destroy(ctx)
}

func (m *Manager) destroy(ctx context.Context) error {
	m.holder.Swap(nil).release()
	if m.limits.Systemd {
		return m.stopScope(ctx)
	}
	left := m.rmdir()
	if len(left) == 0 {
		return nil
	}
	if err := m.Kill(ctx); err != nil {
		return err
	}
	for _, dir := range left {
		if err := cgroups.RemovePath(dir); err != nil {
			return fmt.Errorf("cgroup: remove %s: %w", dir, err)
		}
	}
	return nil
}

// stopScope kills what is in a scope and has systemd remove it. Systemd is not
// asked where nothing is left.
func (m *Manager) stopScope(ctx context.Context) error {
	left := false
	for _, dir := range m.paths {
		left = left || cgroups.PathExists(dir)
	}
	if !left {
		return nil
	}
	if err := m.Kill(ctx); err != nil {
		return err
	}
	if err := m.driver.Destroy(); err != nil {
		return fmt.Errorf("cgroup: stop %s: %w", m.name(), err)
	}
	return nil
}

// rmdir removes what can be removed at once, and names the rest.
func (m *Manager) rmdir() (left []string) {
	for _, dir := range m.paths {
		if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
			left = append(left, dir)
		}
	}
	return left
}

// gone reports whether an error says that the cgroup does not exist any more.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV)
}

// ignoreGone is err, or nil if it says that the cgroup does not exist.
func ignoreGone(err error) error {
	if gone(err) {
		return nil
	}
	return err
}

// write writes a value to a file of a cgroup.
func write(dir, file, value string) error {
	path := filepath.Join(dir, file)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return &os.PathError{Op: "write " + value, Path: path, Err: err}
	}
	return nil
}
