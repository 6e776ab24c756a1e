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
// until Destroy, also when no process is left: of a scope that systemd has
// removed they are the latest that were read.
func (m *Manager) Stats() (any, error) {
	// The drivers' readers take paths alone, so no lock is held while reading.
	s, err := m.read()
	if err != nil {
		return nil, fmt.Errorf("cgroup: counters of %s: %w", m.name(), err)
	}
	if m.unified {
		return m.metricsV2(s), nil
	}
	return m.metricsV1(s), nil
}

// read reads the counters.
func (m *Manager) read() (*cgroups.Stats, error) {
	if m.limits.Systemd && !cgroups.PathExists(m.procs()) {
		return m.latest(nil), nil
	}
	r, err := m.reader()
	if err != nil {
		return nil, err
	}
	s, err := r.GetStats()
	if err != nil && m.limits.Systemd && !cgroups.PathExists(m.procs()) {
		return m.latest(nil), nil // removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	return m.latest(s), nil
}

// latest keeps counters, or answers those that were kept.
func (m *Manager) latest(s *cgroups.Stats) *cgroups.Stats {
	m.lastMu.Lock()
	defer m.lastMu.Unlock()
	if s != nil {
		m.last = s
	}
	if m.last == nil {
		m.last = cgroups.NewStats()
	}
	return m.last
}

// reader is a driver of its own for reading: those of limits hold a lock while
// they write.
func (m *Manager) reader() (cgroups.Manager, error) {
	c := &cgroups.Cgroup{Resources: &cgroups.Resources{}}
	if m.unified {
		return fs2.NewManager(c, m.paths[""])
	}
	return fs.NewManager(c, m.paths)
}

// OOMKills is how many of the container's processes the kernel has killed for
// want of memory. 0 where there is no memory controller.
func (m *Manager) OOMKills() uint64 {
	count := fs.OOMKillCount
	dir := m.paths["memory"]
	if m.unified {
		count, dir = fs2.OOMKillCount, m.paths[""]
	}
	n, err := count(dir)
	if err != nil {
		return m.ooms.Load()
	}
	for {
		known := m.ooms.Load()
		if known >= n {
			return known
		}
		if m.ooms.CompareAndSwap(known, n) {
			return n
		}
	}
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
