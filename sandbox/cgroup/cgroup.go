// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package cgroup is where a container is accounted and limited: cgroup v1 and
// v2, made directly (cgroupfs) or as a systemd scope. Limits are written by
// github.com/opencontainers/cgroups, the code runc itself uses, so that a limit
// means here what it means there.
//
// A process is born in the cgroup ([Manager.Birth]), never moved into it: its
// memory is then charged from its first page, and a cgroup namespace made with
// it has the right root.
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/userns"
	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // lets the managers set device rules
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
	"github.com/opencontainers/cgroups/systemd"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// Manager is one container's cgroup, or, after a Create where the user may make
// none, no cgroup at all ([Manager.None]). Its methods may be called concurrently.
type Manager struct {
	config config.Cgroup
	// paths are the cgroup's directories by controller on v1 ("" is the v2
	// hierarchy of a hybrid host); on v2 there is one, under "".
	paths   map[string]string
	unified bool

	// holder keeps a systemd scope, from Create to Destroy.
	holder atomic.Pointer[holder]

	mu     sync.Mutex
	limits *cgroups.Cgroup // what was last set; its Resources are guarded by mu
	driver cgroups.Manager // guarded by mu
}

// Record is what finds a cgroup again: from a file of the bundle, in the
// process that deletes a container whose shim died.
type Record struct {
	Cgroup config.Cgroup     `json:"cgroup"`
	Paths  map[string]string `json:"paths"`
}

// New says where the container's cgroup will be. It makes nothing yet.
func New(c config.Cgroup) (*Manager, error) {
	resources, err := fromSpec(c.Resources)
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	m := &Manager{config: c, unified: cgroups.IsCgroup2UnifiedMode()}
	m.limits = &cgroups.Cgroup{Resources: resources}
	if !m.unified && resources.Unified != nil {
		return nil, fmt.Errorf("cgroup: linux.resources.unified needs cgroup v2, this host has v1: %w", errdefs.ErrInvalidArgument)
	}
	switch {
	case c.Systemd():
		if !systemd.IsRunningSystemd() {
			return nil, fmt.Errorf("cgroup: cgroupsPath %q asks for a systemd scope, but systemd does not run this host: use the cgroupfs driver: %w",
				c.Slice+":"+c.Prefix+":"+c.Name, errdefs.ErrInvalidArgument)
		}
		m.limits.Systemd, m.limits.Parent, m.limits.ScopePrefix, m.limits.Name = true, c.Slice, c.Prefix, c.Name
	case m.unified:
		m.limits.Path = c.Path
	default:
		m.limits.Path = c.Path
		if m.paths, err = pathsV1(c.Path); err != nil {
			return nil, fmt.Errorf("cgroup: find the hierarchies: %w", err)
		}
	}
	if err := m.open(); err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return m, nil
}

// Load is the cgroup that a record names, whether or not it still exists.
func Load(r Record) (*Manager, error) {
	m := &Manager{config: r.Cgroup, paths: r.Paths, unified: cgroups.IsCgroup2UnifiedMode()}
	m.limits = &cgroups.Cgroup{
		Resources:   &cgroups.Resources{},
		Systemd:     r.Cgroup.Systemd(),
		Parent:      r.Cgroup.Slice,
		ScopePrefix: r.Cgroup.Prefix,
		Name:        r.Cgroup.Name,
	}
	if m.None() && r.Cgroup.Optional {
		return m, nil
	}
	if m.None() || m.unified && r.Paths[""] == "" {
		return nil, fmt.Errorf("cgroup: the record names no directory: %w", errdefs.ErrInvalidArgument)
	}
	if err := m.open(); err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return m, nil
}

// open chooses the driver and, where it was not known, takes the paths from it.
func (m *Manager) open() (err error) {
	switch {
	case m.unified && m.limits.Systemd:
		m.driver, err = systemd.NewUnifiedManager(m.limits, m.paths[""])
	case m.unified:
		m.driver, err = fs2.NewManager(m.limits, m.paths[""])
	case m.limits.Systemd:
		m.driver, err = systemd.NewLegacyManager(m.limits, m.paths)
	default:
		m.driver, err = fs.NewManager(m.limits, m.paths)
	}
	if err == nil && m.paths == nil {
		m.paths = m.driver.GetPaths()
	}
	return err
}

// Record is what Load needs.
func (m *Manager) Record() Record {
	c := m.config
	c.Resources = nil
	return Record{Cgroup: c, Paths: m.paths}
}

// Create makes the cgroup and sets its limits. On an error nothing of it is
// left. The warnings are sentences for the operator.
func (m *Manager) Create(ctx context.Context) (warnings []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkEmpty(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.destroy(ctx))
		}
	}()
	if err := m.make(); m.mayGoWithout(err) {
		return []string{"no cgroup: this user may make none, so the container has no limits and cannot be paused"}, m.goWithout(ctx)
	} else if err != nil {
		return nil, fmt.Errorf("cgroup: make %s: %w", m.name(), err)
	}
	warnings = raisePids(m.limits.Resources)
	if err := m.driver.Set(m.limits.Resources); err != nil {
		return nil, fmt.Errorf("cgroup: set the limits of %s: %w", m.name(), err)
	}
	return warnings, nil
}

// mayGoWithout says that a cgroup which could not be made is not needed: the
// bundle names none and this is the root of a user namespace, whose user was
// given no part of the hierarchy.
func (m *Manager) mayGoWithout(err error) bool {
	return (errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS)) && m.config.Optional && userns.RunningInUserNS()
}

// goWithout removes what could be made of a cgroup and forgets it.
// Limits that would hold nothing are refused.
func (m *Manager) goWithout(ctx context.Context) error {
	if r := m.limits.Resources; r.Memory > 0 || r.CpuQuota > 0 || r.CpusetCpus != "" || r.PidsLimit != nil && *r.PidsLimit > 0 {
		return fmt.Errorf("cgroup: this rootless container has none: delegate cgroups to the user to limit memory, processors or pids: %w",
			errdefs.ErrFailedPrecondition)
	}
	err := m.destroy(ctx)
	clear(m.paths)
	return err
}

// errNone refuses what only a cgroup can do.
var errNone = fmt.Errorf("cgroup: this rootless container has none: delegate cgroups to the user to pause containers and change their limits: %w",
	errdefs.ErrFailedPrecondition)

// None says that the container has no cgroup of its own.
func (m *Manager) None() bool { return len(m.paths) == 0 }

// make makes the directories, or the scope.
func (m *Manager) make() error {
	if !m.limits.Systemd {
		return m.driver.Apply(-1)
	}
	h, err := hold()
	if err != nil {
		return err
	}
	m.holder.Store(h)
	return m.driver.Apply(h.pid())
}

// checkEmpty refuses a cgroup in which something already runs: limits, freezes
// and kills would reach it too.
func (m *Manager) checkEmpty() error {
	if !m.driver.Exists() {
		return nil
	}
	pids, err := m.driver.GetAllPids()
	if err != nil {
		return fmt.Errorf("cgroup: read %s: %w", m.name(), err)
	}
	if len(pids) != 0 {
		return fmt.Errorf("cgroup: %s is in use by %d processes, choose another cgroupsPath: %w", m.name(), len(pids), errdefs.ErrAlreadyExists)
	}
	return nil
}

// Update changes the limits that r names and keeps the others. Where the kernel
// refuses one, the former limits are set again.
func (m *Manager) Update(r *specs.LinuxResources) (warnings []string, err error) {
	if r == nil {
		return nil, nil
	}
	if m.None() {
		return nil, errNone
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := merge(m.limits.Resources, r)
	if !m.unified && next.Unified != nil {
		return nil, fmt.Errorf("cgroup: linux.resources.unified needs cgroup v2, this host has v1: %w", errdefs.ErrInvalidArgument)
	}
	warnings = raisePids(next)
	if err := m.driver.Set(next); err != nil {
		former := *m.limits.Resources
		former.SkipDevices = true
		if back := m.driver.Set(&former); back != nil {
			err = errors.Join(err, fmt.Errorf("set the former limits again: %w", back))
		}
		return nil, fmt.Errorf("cgroup: change the limits of %s: %w", m.name(), err)
	}
	next.SkipDevices = false
	m.limits.Resources = next
	return warnings, nil
}

// name is the cgroup's for an error.
func (m *Manager) name() string {
	if m.limits.Systemd {
		return m.limits.ScopePrefix + "-" + m.limits.Name + ".scope"
	}
	if m.unified {
		return m.paths[""]
	}
	return m.limits.Path
}
