// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// A rootless container may have no cgroup (cgroup.Manager.None). What a cgroup
// does for others, to hold every process until the last has ended, its pid
// namespace does then: the kernel ends it with its first process.

// first is a container's first process, for when its shim has died.
type first struct {
	Pid int `json:"pid"`
	// Started tells the process from a later one of the same pid: the ticks
	// since boot of /proc/PID/stat.
	Started string `json:"started"`
}

// checkHeld refuses a container whose processes nothing would hold together.
func (c *Container) checkHeld() error {
	if c.cgroup.None() && c.own&unix.CLONE_NEWPID == 0 {
		return fmt.Errorf("without a cgroup a container needs a pid namespace of its own: delegate cgroups to the user, or leave out --pid: %w",
			errdefs.ErrFailedPrecondition)
	}
	return nil
}

// recordFirst adds the first process to the record of a container without a
// cgroup.
func (c *Container) recordFirst() error {
	if !c.cgroup.None() {
		return nil
	}
	started, err := startTime(c.init.pid)
	if err != nil {
		return fmt.Errorf("reading the start of process %d: %w", c.init.pid, err)
	}
	return c.writeRecord(&first{Pid: c.init.pid, Started: started})
}

// endFirst ends a container without a cgroup.
func (c *Container) endFirst() {
	if !c.cgroup.None() {
		return
	}
	c.init.mu.Lock()
	defer c.init.mu.Unlock()
	_ = c.init.kill(unix.SIGKILL) // it fails where the process has ended
}

// pids are the host pids that are known of a container without a cgroup.
func (c *Container) pids() []int {
	select {
	case <-c.init.done:
		return nil
	default:
		return []int{c.init.pid}
	}
}

// end kills the process, if it is still there, and waits for its end.
func (f *first) end(ctx context.Context) error {
	fd, err := unix.PidfdOpen(f.Pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", f.Pid, err)
	}
	defer unix.Close(fd)
	if started, err := startTime(f.Pid); err != nil || started != f.Started {
		return nil // it has ended, and the pid may be another's
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("killing process %d: %w", f.Pid, err)
	}
	return ended(ctx, fd, f.Pid)
}

// ended waits for the end of a process that may be no child.
func ended(ctx context.Context, pidfd, pid int) error {
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(100*time.Millisecond/time.Millisecond))
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("waiting for process %d: %w", pid, err)
		}
	}
	return fmt.Errorf("process %d is killed and does not end: %w", pid, errors.Join(ctx.Err(), errdefs.ErrUnavailable))
}

// startTime is when a process started, in ticks since boot.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name before it may hold anything; the state follows as the third field.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const started = 22 - 3
	if len(fields) <= started {
		return "", fmt.Errorf("%d fields", len(fields))
	}
	return fields[started], nil
}
