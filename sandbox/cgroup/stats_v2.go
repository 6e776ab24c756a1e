// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"math"

	stats "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/opencontainers/cgroups"
)

// metricsV2 puts the counters of a v2 cgroup into containerd's message.
func (m *Manager) metricsV2(s *cgroups.Stats) *stats.Metrics {
	metrics := &stats.Metrics{
		Pids:   &stats.PidsStat{Current: s.PidsStats.Current, Limit: s.PidsStats.Limit},
		CPU:    cpuV2(&s.CpuStats),
		Memory: memoryV2(&s.MemoryStats),
		Io:     &stats.IOStat{Usage: ioV2(&s.BlkioStats), PSI: pressure(s.BlkioStats.PSI)},
	}
	if metrics.Pids.Limit == 0 { // "max", which containerd's clients know as the largest number
		metrics.Pids.Limit = math.MaxUint64
	}
	if e := keyed(m.paths[""], "memory.events"); e != nil {
		metrics.MemoryEvents = &stats.MemoryEvents{
			Low:          e["low"],
			High:         e["high"],
			Max:          e["max"],
			Oom:          e["oom"],
			OomKill:      e["oom_kill"],
			OomGroupKill: e["oom_group_kill"],
		}
	}
	for size, h := range s.HugetlbStats {
		metrics.Hugetlb = append(metrics.Hugetlb, &stats.HugeTlbStat{
			Current: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt, Pagesize: size,
		})
	}
	if r := s.RdmaStats; len(r.RdmaCurrent)+len(r.RdmaLimit) > 0 {
		metrics.Rdma = &stats.RdmaStat{Current: rdmaV2(r.RdmaCurrent), Limit: rdmaV2(r.RdmaLimit)}
	}
	return metrics
}

// cpuV2 turns the nanoseconds of the reader back into the kernel's microseconds.
func cpuV2(s *cgroups.CpuStats) *stats.CPUStat {
	return &stats.CPUStat{
		UsageUsec:     s.CpuUsage.TotalUsage / 1000,
		UserUsec:      s.CpuUsage.UsageInUsermode / 1000,
		SystemUsec:    s.CpuUsage.UsageInKernelmode / 1000,
		NrPeriods:     s.ThrottlingData.Periods,
		NrThrottled:   s.ThrottlingData.ThrottledPeriods,
		ThrottledUsec: s.ThrottlingData.ThrottledTime / 1000,
		NrBursts:      s.BurstData.BurstsPeriods,
		BurstUsec:     s.BurstData.BurstTime / 1000,
		PSI:           pressure(s.PSI),
	}
}

func memoryV2(s *cgroups.MemoryStats) *stats.MemoryStat {
	v := s.Stats
	return &stats.MemoryStat{
		Anon:                  v["anon"],
		File:                  v["file"],
		KernelStack:           v["kernel_stack"],
		Slab:                  v["slab"],
		Sock:                  v["sock"],
		Shmem:                 v["shmem"],
		FileMapped:            v["file_mapped"],
		FileDirty:             v["file_dirty"],
		FileWriteback:         v["file_writeback"],
		AnonThp:               v["anon_thp"],
		InactiveAnon:          v["inactive_anon"],
		ActiveAnon:            v["active_anon"],
		InactiveFile:          v["inactive_file"],
		ActiveFile:            v["active_file"],
		Unevictable:           v["unevictable"],
		SlabReclaimable:       v["slab_reclaimable"],
		SlabUnreclaimable:     v["slab_unreclaimable"],
		Pgfault:               v["pgfault"],
		Pgmajfault:            v["pgmajfault"],
		WorkingsetRefault:     v["workingset_refault"],
		WorkingsetActivate:    v["workingset_activate"],
		WorkingsetNodereclaim: v["workingset_nodereclaim"],
		Pgrefill:              v["pgrefill"],
		Pgscan:                v["pgscan"],
		Pgsteal:               v["pgsteal"],
		Pgactivate:            v["pgactivate"],
		Pgdeactivate:          v["pgdeactivate"],
		Pglazyfree:            v["pglazyfree"],
		Pglazyfreed:           v["pglazyfreed"],
		ThpFaultAlloc:         v["thp_fault_alloc"],
		ThpCollapseAlloc:      v["thp_collapse_alloc"],
		Usage:                 s.Usage.Usage,
		UsageLimit:            s.Usage.Limit,
		MaxUsage:              s.Usage.MaxUsage,
		SwapUsage:             s.SwapOnlyUsage.Usage,
		SwapLimit:             s.SwapOnlyUsage.Limit,
		SwapMaxUsage:          s.SwapOnlyUsage.MaxUsage,
		PSI:                   pressure(s.PSI),
	}
}

// ioV2 gathers the reader's entries, one an operation, into one a device.
func ioV2(s *cgroups.BlkioStats) []*stats.IOEntry {
	var out []*stats.IOEntry
	device := func(e *cgroups.BlkioStatEntry) *stats.IOEntry {
		for _, o := range out {
			if o.Major == e.Major && o.Minor == e.Minor {
				return o
			}
		}
		o := &stats.IOEntry{Major: e.Major, Minor: e.Minor}
		out = append(out, o)
		return o
	}
	for i := range s.IoServiceBytesRecursive {
		switch e := &s.IoServiceBytesRecursive[i]; e.Op {
		case "Read":
			device(e).Rbytes = e.Value
		case "Write":
			device(e).Wbytes = e.Value
		}
	}
	for i := range s.IoServicedRecursive {
		switch e := &s.IoServicedRecursive[i]; e.Op {
		case "Read":
			device(e).Rios = e.Value
		case "Write":
			device(e).Wios = e.Value
		}
	}
	return out
}

// pressure is pressure stall information, nil where the kernel has none.
func pressure(p *cgroups.PSIStats) *stats.PSIStats {
	if p == nil {
		return nil
	}
	data := func(d cgroups.PSIData) *stats.PSIData {
		return &stats.PSIData{Avg10: d.Avg10, Avg60: d.Avg60, Avg300: d.Avg300, Total: d.Total}
	}
	return &stats.PSIStats{Some: data(p.Some), Full: data(p.Full)}
}

func rdmaV2(entries []cgroups.RdmaEntry) []*stats.RdmaEntry {
	out := make([]*stats.RdmaEntry, len(entries))
	for i, e := range entries {
		out[i] = &stats.RdmaEntry{Device: e.Device, HcaHandles: e.HcaHandles, HcaObjects: e.HcaObjects}
	}
	return out
}
