// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package host finds containerd and the shims among the node's processes and has
// containerd read its configuration.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// Host is the node's processes, as /proc shows them in its pid namespace.
type Host struct {
	Proc string // a mounted procfs
	// Config is containerd's configuration file.
	Config string
	// Settled is how long a containerd that was started must have run.
	Settled time.Duration
	// Patience is how long its supervisor may take to start it.
	Patience time.Duration
}

// process is one; start tells it from a later one of the same pid.
type process struct {
	pid    int
	parent string
	start  string
	args   []string
}

const defaultConfig = "/etc/containerd/config.toml"

// Restart ends containerd, which reads its configuration only when it starts, and
// waits until its supervisor has started it again. Containers run on.
func (h Host) Restart(ctx context.Context) error {
	old, err := h.containerd()
	if err != nil {
		return err
	}
	if old != nil {
		if err := unix.Kill(old.pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end containerd, process %d: %w", old.pid, err)
		}
	}
	late := fmt.Errorf("containerd was ended to read its configuration, and nothing started it again within %s: start it: %w",
		h.Patience, errdefs.ErrUnavailable)
	if old == nil {
		late = fmt.Errorf("no containerd with %s runs, and nothing started one within %s: start it, or see which file it reads: %w",
			h.Config, h.Patience, errdefs.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.Patience, late)
	defer cancel()
	var seen *process
	var since time.Time
	for {
		now, err := h.containerd()
		switch {
		case err != nil || now == nil || old != nil && now.same(old):
			seen = nil
		case seen == nil || !now.same(seen):
			seen, since = now, time.Now()
		case time.Since(since) >= h.Settled:
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return err
			}
			return context.Cause(ctx)
		case <-time.After(h.Settled / 10):
		}
	}
}

// Shims counts the shims that were started from a binary.
func (h Host) Shims(binary string) (int, error) {
	all, err := h.processes(func(p process) bool { return p.args[0] == binary })
	return len(all), err
}

// containerd is the one that reads the configuration, or nil.
func (h Host) containerd() (*process, error) {
	found, err := h.processes(func(p process) bool {
		return filepath.Base(p.args[0]) == "containerd" && p.config() == h.Config
	})
	// What it has just forked has its arguments until it executes something else.
	all := slices.Clone(found)
	found = slices.DeleteFunc(found, func(p process) bool {
		return slices.ContainsFunc(all, func(q process) bool { return strconv.Itoa(q.pid) == p.parent })
	})
	switch {
	case err != nil || len(found) == 0:
		return nil, err
	case len(found) > 1:
		return nil, fmt.Errorf("processes %d and %d both are a containerd with %s: end the one that is not the node's: %w",
			found[0].pid, found[1].pid, h.Config, errdefs.ErrFailedPrecondition)
	}
	return &found[0], nil
}

// config is the file that a containerd reads.
func (p process) config() string {
	for i, arg := range p.args[1:] {
		name, value, given := strings.Cut(arg, "=")
		switch name {
		case "-c", "--config", "-config":
			if given {
				return value
			}
			if i+2 < len(p.args) {
				return p.args[i+2]
			}
		case "config", "publish", "oci-hook": // commands, not the daemon
			return ""
		}
	}
	return defaultConfig
}

func (p process) same(q *process) bool { return p.pid == q.pid && p.start == q.start }

// processes are root's in the namespace that procfs shows, and no container's.
func (h Host) processes(want func(process) bool) ([]process, error) {
	entries, err := os.ReadDir(h.Proc)
	if err != nil {
		return nil, err
	}
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(h.Proc, entry.Name())
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		p := process{pid: pid, args: strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")}
		if len(cmdline) == 0 || !want(p) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil || !ofHost(status) {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has ended
		}
		// After the name, which may hold anything, the 2nd and the 20th field.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 20 || string(fields[0]) == "Z" {
			continue
		}
		p.parent, p.start = string(fields[1]), string(fields[19])
		found = append(found, p)
	}
	return found, nil
}

// ofHost answers whether a process is root's and in no namespace below.
func ofHost(status []byte) bool {
	var root, top bool
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch name {
		case "Uid":
			root = len(fields) > 0 && fields[0] == "0"
		case "NSpid":
			top = len(fields) == 1
		}
	}
	return root && top
}
