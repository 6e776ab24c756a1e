// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	stats "github.com/containerd/cgroups/v3/cgroup1/stats"
	"github.com/opencontainers/cgroups"
)

// metricsV1 puts the counters of a v1 cgroup into containerd's message.
func (m *Manager) metricsV1(s *cgroups.Stats) *stats.Metrics {
	usage, throttling := s.CpuStats.CpuUsage, s.CpuStats.ThrottlingData
	metrics := &stats.Metrics{
		Pids: &stats.PidsStat{Current: s.PidsStats.Current, Limit: s.PidsStats.Limit},
		// dockerd dereferences both Usage and Throttling once CPU is set.
		CPU: &stats.CPUStat{
			Usage: &stats.CPUUsage{
				Total:  usage.TotalUsage,
				Kernel: usage.UsageInKernelmode,
				User:   usage.UsageInUsermode,
				PerCPU: usage.PercpuUsage,
			},
			Throttling: &stats.Throttle{
				Periods:          throttling.Periods,
				ThrottledPeriods: throttling.ThrottledPeriods,
				ThrottledTime:    throttling.ThrottledTime,
			},
		},
		Memory: memoryV1(&s.MemoryStats),
		Blkio: &stats.BlkIOStat{
			IoServiceBytesRecursive: blkio(s.BlkioStats.IoServiceBytesRecursive),
			IoServicedRecursive:     blkio(s.BlkioStats.IoServicedRecursive),
			IoQueuedRecursive:       blkio(s.BlkioStats.IoQueuedRecursive),
			IoServiceTimeRecursive:  blkio(s.BlkioStats.IoServiceTimeRecursive),
			IoWaitTimeRecursive:     blkio(s.BlkioStats.IoWaitTimeRecursive),
			IoMergedRecursive:       blkio(s.BlkioStats.IoMergedRecursive),
			IoTimeRecursive:         blkio(s.BlkioStats.IoTimeRecursive),
			SectorsRecursive:        blkio(s.BlkioStats.SectorsRecursive),
		},
	}
	if oom := keyed(m.paths["memory"], "memory.oom_control"); oom != nil {
		metrics.MemoryOomControl = &stats.MemoryOomControl{
			OomKillDisable: oom["oom_kill_disable"],
			UnderOom:       oom["under_oom"],
			OomKill:        oom["oom_kill"],
		}
	}
	for size, h := range s.HugetlbStats {
		metrics.Hugetlb = append(metrics.Hugetlb, &stats.HugetlbStat{
			Usage: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt, Pagesize: size,
		})
	}
	if r := s.RdmaStats; len(r.RdmaCurrent)+len(r.RdmaLimit) > 0 {
		metrics.Rdma = &stats.RdmaStat{Current: rdmaV1(r.RdmaCurrent), Limit: rdmaV1(r.RdmaLimit)}
	}
	return metrics
}

func memoryV1(s *cgroups.MemoryStats) *stats.MemoryStat {
	v := s.Stats
	return &stats.MemoryStat{
		Cache:                   v["cache"],
		RSS:                     v["rss"],
		RSSHuge:                 v["rss_huge"],
		MappedFile:              v["mapped_file"],
		Dirty:                   v["dirty"],
		Writeback:               v["writeback"],
		PgPgIn:                  v["pgpgin"],
		PgPgOut:                 v["pgpgout"],
		PgFault:                 v["pgfault"],
		PgMajFault:              v["pgmajfault"],
		InactiveAnon:            v["inactive_anon"],
		ActiveAnon:              v["active_anon"],
		InactiveFile:            v["inactive_file"],
		ActiveFile:              v["active_file"],
		Unevictable:             v["unevictable"],
		HierarchicalMemoryLimit: v["hierarchical_memory_limit"],
		HierarchicalSwapLimit:   v["hierarchical_memsw_limit"],
		TotalCache:              v["total_cache"],
		TotalRSS:                v["total_rss"],
		TotalRSSHuge:            v["total_rss_huge"],
		TotalMappedFile:         v["total_mapped_file"],
		TotalDirty:              v["total_dirty"],
		TotalWriteback:          v["total_writeback"],
		TotalPgPgIn:             v["total_pgpgin"],
		TotalPgPgOut:            v["total_pgpgout"],
		TotalPgFault:            v["total_pgfault"],
		TotalPgMajFault:         v["total_pgmajfault"],
		TotalInactiveAnon:       v["total_inactive_anon"],
		TotalActiveAnon:         v["total_active_anon"],
		TotalInactiveFile:       v["total_inactive_file"],
		TotalActiveFile:         v["total_active_file"],
		TotalUnevictable:        v["total_unevictable"],
		Usage:                   memoryEntry(s.Usage),
		Swap:                    memoryEntry(s.SwapUsage),
		Kernel:                  memoryEntry(s.KernelUsage),
		KernelTCP:               memoryEntry(s.KernelTCPUsage),
	}
}

func memoryEntry(d cgroups.MemoryData) *stats.MemoryEntry {
	return &stats.MemoryEntry{Limit: d.Limit, Usage: d.Usage, Max: d.MaxUsage, Failcnt: d.Failcnt}
}

func blkio(entries []cgroups.BlkioStatEntry) []*stats.BlkIOEntry {
	out := make([]*stats.BlkIOEntry, len(entries))
	for i, e := range entries {
		out[i] = &stats.BlkIOEntry{Op: e.Op, Major: e.Major, Minor: e.Minor, Value: e.Value}
	}
	return out
}

func rdmaV1(entries []cgroups.RdmaEntry) []*stats.RdmaEntry {
	out := make([]*stats.RdmaEntry, len(entries))
	for i, e := range entries {
		out[i] = &stats.RdmaEntry{Device: e.Device, HcaHandles: e.HcaHandles, HcaObjects: e.HcaObjects}
	}
	return out
}
