// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/cgroups"
)

// TestWithout has a rootless container go without a cgroup: it is none then,
// and whatever only a cgroup can do is refused.
func TestWithout(t *testing.T) {
	without := func(r cgroups.Resources) (*Manager, error) {
		m := &Manager{limits: &cgroups.Cgroup{Resources: &r}, paths: map[string]string{"devices": "/sys/fs/cgroup/devices/not-there"}}
		return m, m.goWithout(context.Background())
	}
	pids := int64(10)
	for name, r := range map[string]cgroups.Resources{
		"memory": {Memory: 1 << 20}, "processors": {CpuQuota: 1000}, "a set of them": {CpusetCpus: "0"}, "pids": {PidsLimit: &pids},
	} {
		if _, err := without(r); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("a limit of %s: %v", name, err)
		}
	}
	m, err := without(cgroups.Resources{})
	if err != nil || !m.None() {
		t.Fatalf("without limits: %v", err)
	}
	if again, err := Load(m.Record()); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a record without directories, of a cgroup that was asked for, is taken: %v", again)
	}
	m.config.Optional = true
	if again, err := Load(m.Record()); err != nil || !again.None() {
		t.Errorf("its record: %v", err)
	}
	if pids, err := m.Pids(); len(pids) != 0 || err != nil {
		t.Errorf("pids %v, %v", pids, err)
	}
	if stats, err := m.Stats(); stats == nil || err != nil {
		t.Errorf("stats %v, %v", stats, err)
	}
	_, err = m.Update(nil)
	if err != nil {
		t.Errorf("an update of nothing: %v", err)
	}
	for what, err := range map[string]error{"freeze": m.Freeze(), "thaw": m.Thaw()} {
		if !errdefs.IsFailedPrecondition(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := m.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
}
