// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"maps"
	"math"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/cgroups/fscommon"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// minPids is the least pids.max in which a Go program can run: below four
// threads its runtime aborts, and the collector and the poller want theirs.
const minPids = 8

// raisePids raises a pids limit in which the sandbox could not start.
func raisePids(r *cgroups.Resources) (warnings []string) {
	if r.PidsLimit == nil || *r.PidsLimit < 0 || *r.PidsLimit >= minPids {
		return nil
	}
	asked, limit := *r.PidsLimit, int64(minPids)
	r.PidsLimit = &limit
	return []string{fmt.Sprintf("pids limit %d is raised to %d, the least a sandbox can run in", asked, minPids)}
}

// Room says whether a further process of the container fits in its pids limit:
// its threads count as pids, and a Go program that gets none of them aborts.
func (m *Manager) Room() error {
	dir := m.paths["pids"]
	if m.unified {
		dir = m.paths[""]
	}
	if dir == "" {
		return nil
	}
	limit, err := fscommon.GetCgroupParamUint(dir, "pids.max")
	if err != nil || limit == math.MaxUint64 { // no such controller, or no limit
		return nil
	}
	running, err := fscommon.GetCgroupParamUint(dir, "pids.current")
	if err != nil || running+minPids <= limit {
		return nil
	}
	return fmt.Errorf("the container's pids limit %d is too small for another process beside the %d threads that run: raise it to at least %d: %w",
		limit, running, running+minPids, errdefs.ErrResourceExhausted)
}

// fromSpec are the limits that a bundle asks for, with the devices that every
// container may use.
func fromSpec(spec *specs.LinuxResources) (*cgroups.Resources, error) {
	r := &cgroups.Resources{}
	if spec == nil {
		spec = &specs.LinuxResources{}
	}
	for i, d := range spec.Devices {
		rule, err := deviceRule(d)
		if err != nil {
			return nil, fmt.Errorf("linux.resources.devices[%d]: %w", i, err)
		}
		r.Devices = append(r.Devices, rule)
	}
	for i := range allowedDevices {
		r.Devices = append(r.Devices, &allowedDevices[i])
	}
	return apply(r, spec), nil
}

// merge is a container's limits with a change applied. Devices stay as they are,
// as with runc: an update that brings the whole of linux.resources repeats them.
func merge(current *cgroups.Resources, change *specs.LinuxResources) *cgroups.Resources {
	next := *current
	next.SkipDevices = true
	return apply(&next, change)
}

// apply puts what a spec names over r.
func apply(r *cgroups.Resources, spec *specs.LinuxResources) *cgroups.Resources {
	if spec.Memory != nil {
		applyMemory(r, spec.Memory)
	}
	if spec.CPU != nil {
		applyCPU(r, spec.CPU)
	}
	if spec.Pids != nil && spec.Pids.Limit != nil {
		limit := *spec.Pids.Limit
		r.PidsLimit = &limit
	}
	if spec.BlockIO != nil {
		applyBlockIO(r, spec.BlockIO)
	}
	for _, l := range spec.HugepageLimits {
		r.HugetlbLimit = append(r.HugetlbLimit[:len(r.HugetlbLimit):len(r.HugetlbLimit)],
			&cgroups.HugepageLimit{Pagesize: l.Pagesize, Limit: l.Limit})
	}
	if len(spec.Rdma) > 0 {
		r.Rdma = make(map[string]cgroups.LinuxRdma, len(spec.Rdma))
		for k, v := range spec.Rdma {
			r.Rdma[k] = cgroups.LinuxRdma{HcaHandles: v.HcaHandles, HcaObjects: v.HcaObjects}
		}
	}
	if n := spec.Network; n != nil {
		set(&r.NetClsClassid, n.ClassID)
		r.NetPrioIfpriomap = nil
		for _, p := range n.Priorities {
			r.NetPrioIfpriomap = append(r.NetPrioIfpriomap, &cgroups.IfPrioMap{Interface: p.Name, Priority: int64(p.Priority)})
		}
	}
	if len(spec.Unified) > 0 {
		unified := maps.Clone(r.Unified)
		if unified == nil {
			unified = make(map[string]string, len(spec.Unified))
		}
		maps.Copy(unified, spec.Unified)
		r.Unified = unified
	}
	return r
}

// set stores what a spec names. Zero names nothing: the managers write no zero,
// and dockerd sends it for what an update leaves alone.
func set[T comparable](dst *T, v *T) {
	var zero T
	if v != nil && *v != zero {
		*dst = *v
	}
}

func applyMemory(r *cgroups.Resources, m *specs.LinuxMemory) {
	set(&r.Memory, m.Limit)
	set(&r.MemoryReservation, m.Reservation)
	if m.Limit != nil && *m.Limit == -1 && m.Swap == nil {
		r.MemorySwap = 0 // unlimited memory leaves nothing that swap could be added to
	}
	set(&r.MemorySwap, m.Swap)
	if m.Swappiness != nil {
		r.MemorySwappiness = m.Swappiness
	}
	set(&r.OomKillDisable, m.DisableOOMKiller)
	set(&r.MemoryCheckBeforeUpdate, m.CheckBeforeUpdate)
}

func applyCPU(r *cgroups.Resources, c *specs.LinuxCPU) {
	if c.Shares != nil {
		r.CpuShares = *c.Shares
		r.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*c.Shares)
	}
	set(&r.CpuQuota, c.Quota)
	set(&r.CpuPeriod, c.Period)
	set(&r.CpuRtRuntime, c.RealtimeRuntime)
	set(&r.CpuRtPeriod, c.RealtimePeriod)
	if c.Burst != nil {
		r.CpuBurst = c.Burst
	}
	if c.Idle != nil {
		r.CPUIdle = c.Idle
		if c.Shares == nil {
			r.CpuShares, r.CpuWeight = 0, 0 // the kernel refuses a weight on an idle cgroup
		}
	}
	if c.Cpus != "" {
		r.CpusetCpus = c.Cpus
	}
	if c.Mems != "" {
		r.CpusetMems = c.Mems
	}
}

func applyBlockIO(r *cgroups.Resources, b *specs.LinuxBlockIO) {
	set(&r.BlkioWeight, b.Weight)
	set(&r.BlkioLeafWeight, b.LeafWeight)
	for _, d := range b.WeightDevice {
		var weight, leaf uint16
		set(&weight, d.Weight)
		set(&leaf, d.LeafWeight)
		r.BlkioWeightDevice = append(r.BlkioWeightDevice[:len(r.BlkioWeightDevice):len(r.BlkioWeightDevice)],
			cgroups.NewWeightDevice(d.Major, d.Minor, weight, leaf))
	}
	r.BlkioThrottleReadBpsDevice = throttle(r.BlkioThrottleReadBpsDevice, b.ThrottleReadBpsDevice)
	r.BlkioThrottleWriteBpsDevice = throttle(r.BlkioThrottleWriteBpsDevice, b.ThrottleWriteBpsDevice)
	r.BlkioThrottleReadIOPSDevice = throttle(r.BlkioThrottleReadIOPSDevice, b.ThrottleReadIOPSDevice)
	r.BlkioThrottleWriteIOPSDevice = throttle(r.BlkioThrottleWriteIOPSDevice, b.ThrottleWriteIOPSDevice)
}

// throttle adds a spec's limits; of two for one device the kernel keeps the
// later.
func throttle(old []*cgroups.ThrottleDevice, add []specs.LinuxThrottleDevice) []*cgroups.ThrottleDevice {
	all := old[:len(old):len(old)]
	for _, d := range add {
		all = append(all, cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate))
	}
	return all
}

// deviceRule is one rule of the spec.
func deviceRule(d specs.LinuxDeviceCgroup) (*devices.Rule, error) {
	rule := &devices.Rule{
		Type:        devices.WildcardDevice,
		Major:       devices.Wildcard,
		Minor:       devices.Wildcard,
		Permissions: devices.Permissions(d.Access),
		Allow:       d.Allow,
	}
	switch d.Type {
	case "", "a":
	case "c":
		rule.Type = devices.CharDevice
	case "b":
		rule.Type = devices.BlockDevice
	default:
		return nil, fmt.Errorf("type %q is not one of a, b and c: %w", d.Type, errdefs.ErrInvalidArgument)
	}
	if d.Access == "" || !rule.Permissions.IsValid() {
		return nil, fmt.Errorf("access %q is not made of r, w and m: %w", d.Access, errdefs.ErrInvalidArgument)
	}
	if d.Major != nil {
		rule.Major = *d.Major
	}
	if d.Minor != nil {
		rule.Minor = *d.Minor
	}
	return rule, nil
}

// allowedDevices are what every container may use: runc's list, less what no
// guest is given (the tunnel device).
var allowedDevices = [...]devices.Rule{
	{Type: devices.CharDevice, Major: devices.Wildcard, Minor: devices.Wildcard, Permissions: "m", Allow: true},
	{Type: devices.BlockDevice, Major: devices.Wildcard, Minor: devices.Wildcard, Permissions: "m", Allow: true},
	{Type: devices.CharDevice, Major: 1, Minor: 3, Permissions: "rwm", Allow: true},                  // null
	{Type: devices.CharDevice, Major: 1, Minor: 5, Permissions: "rwm", Allow: true},                  // zero
	{Type: devices.CharDevice, Major: 1, Minor: 7, Permissions: "rwm", Allow: true},                  // full
	{Type: devices.CharDevice, Major: 1, Minor: 8, Permissions: "rwm", Allow: true},                  // random
	{Type: devices.CharDevice, Major: 1, Minor: 9, Permissions: "rwm", Allow: true},                  // urandom
	{Type: devices.CharDevice, Major: 5, Minor: 0, Permissions: "rwm", Allow: true},                  // tty
	{Type: devices.CharDevice, Major: 5, Minor: 2, Permissions: "rwm", Allow: true},                  // ptmx
	{Type: devices.CharDevice, Major: 136, Minor: devices.Wildcard, Permissions: "rwm", Allow: true}, // pts
}
