// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
	"github.com/opencontainers/cgroups/fscommon"
)

// Stats are the kernel's counters in the form containerd's clients expect: a
// *stats.Metrics of containerd/cgroups/v3's cgroup1 or cgroup2. They can be had
// until Destroy, also when no process is left.
func (m *Manager) Stats() (any, error) {
	s, err := m.read()
	if err != nil {
		return nil, fmt.Errorf("cgroup: counters of %s: %w", m.name(), err)
	}
	if m.holder.Load() != nil && s.PidsStats.Current > 0 {
		s.PidsStats.Current--
	}
	if m.unified {
		return m.metricsV2(s), nil
	}
	return m.metricsV1(s), nil
}

// read reads the counters, by a driver of its own: those of limits hold a lock
// while they write.
func (m *Manager) read() (*cgroups.Stats, error) {
	if m.None() {
		return cgroups.NewStats(), nil
	}
	c := &cgroups.Cgroup{Resources: &cgroups.Resources{}}
	var driver cgroups.Manager
	var err error
	if m.unified {
		driver, err = fs2.NewManager(c, m.paths[""])
	} else {
		driver, err = fs.NewManager(c, m.paths)
	}
	if err != nil {
		return nil, err
	}
	return driver.GetStats()
}

// OOMKills is how many of the container's processes the kernel has killed for
// want of memory. 0 when the cgroup is gone or has no memory controller.
func (m *Manager) OOMKills() uint64 {
	count := fs.OOMKillCount
	dir := m.paths["memory"]
	if m.unified {
		count, dir = fs2.OOMKillCount, m.paths[""]
	}
	n, err := count(dir)
	if err != nil {
		return 0
	}
	return n
}

// MemoryLimit is the container's own limit in bytes as the kernel has it, 0
// when there is none.
func (m *Manager) MemoryLimit() (uint64, error) {
	dir, file := m.paths["memory"], "memory.limit_in_bytes"
	if m.unified {
		dir, file = m.paths[""], "memory.max"
	}
	if dir == "" {
		return 0, nil
	}
	limit, err := fscommon.GetCgroupParamUint(dir, file)
	if os.IsNotExist(err) && m.unified { // the controller is not enabled here
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cgroup: memory limit of %s: %w", m.name(), err)
	}
	// v1 says "no limit" with the largest multiple of the page size.
	if limit >= math.MaxInt64-uint64(os.Getpagesize()) {
		return 0, nil
	}
	return limit, nil
}

// keyed reads a file of "name value" lines; nil when it cannot be read.
func keyed(dir, file string) map[string]uint64 {
	if dir == "" {
		return nil
	}
	text, err := cgroups.ReadFile(dir, file)
	if err != nil {
		return nil
	}
	values := make(map[string]uint64, 8)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			values[name] = n
		}
	}
	return values
}
