// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"fmt"
	"slices"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// rlimits turns the names of resource limits into numbers (getrlimit(2)).
func rlimits(limits []specs.POSIXRlimit) ([]config.Rlimit, error) {
	var out []config.Rlimit
	for _, l := range limits {
		number, ok := rlimitNumber(l.Type)
		if !ok {
			return nil, fmt.Errorf("process.rlimits: unknown limit %.40q", l.Type)
		}
		if slices.ContainsFunc(out, func(r config.Rlimit) bool { return r.Type == number }) {
			return nil, fmt.Errorf("process.rlimits: %s is there twice", l.Type)
		}
		if l.Soft > l.Hard {
			return nil, fmt.Errorf("process.rlimits: %s has a soft limit %d above its hard limit %d", l.Type, l.Soft, l.Hard)
		}
		out = append(out, config.Rlimit{Type: number, Soft: l.Soft, Hard: l.Hard})
	}
	return out, nil
}

func rlimitNumber(name string) (int, bool) {
	switch name {
	case "RLIMIT_AS":
		return unix.RLIMIT_AS, true
	case "RLIMIT_CORE":
		return unix.RLIMIT_CORE, true
	case "RLIMIT_CPU":
		return unix.RLIMIT_CPU, true
	case "RLIMIT_DATA":
		return unix.RLIMIT_DATA, true
	case "RLIMIT_FSIZE":
		return unix.RLIMIT_FSIZE, true
	case "RLIMIT_LOCKS":
		return unix.RLIMIT_LOCKS, true
	case "RLIMIT_MEMLOCK":
		return unix.RLIMIT_MEMLOCK, true
	case "RLIMIT_MSGQUEUE":
		return unix.RLIMIT_MSGQUEUE, true
	case "RLIMIT_NICE":
		return unix.RLIMIT_NICE, true
	case "RLIMIT_NOFILE":
		return unix.RLIMIT_NOFILE, true
	case "RLIMIT_NPROC":
		return unix.RLIMIT_NPROC, true
	case "RLIMIT_RSS":
		return unix.RLIMIT_RSS, true
	case "RLIMIT_RTPRIO":
		return unix.RLIMIT_RTPRIO, true
	case "RLIMIT_RTTIME":
		return unix.RLIMIT_RTTIME, true
	case "RLIMIT_SIGPENDING":
		return unix.RLIMIT_SIGPENDING, true
	case "RLIMIT_STACK":
		return unix.RLIMIT_STACK, true
	}
	return 0, false
}

// scheduler checks scheduling attributes as sched_setattr(2) does.
func scheduler(s *specs.Scheduler) (*specs.Scheduler, error) {
	if s == nil {
		return nil, nil
	}
	switch s.Policy {
	case "", specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO, specs.SchedIdle, specs.SchedDeadline:
	default:
		return nil, fmt.Errorf("process.scheduler: unknown policy %.40q", s.Policy)
	}
	realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	switch {
	case s.Policy == "":
		return nil, fmt.Errorf("process.scheduler has no policy")
	case (s.Policy == specs.SchedOther || s.Policy == specs.SchedBatch) && (s.Nice < -20 || s.Nice > 19):
		return nil, fmt.Errorf("process.scheduler: nice %d is not from -20 to 19", s.Nice)
	case s.Priority != 0 && !realtime:
		return nil, fmt.Errorf("process.scheduler: a priority needs the policy SCHED_FIFO or SCHED_RR, not %.40q", s.Policy)
	case s.Policy != specs.SchedDeadline && (s.Runtime != 0 || s.Deadline != 0 || s.Period != 0):
		return nil, fmt.Errorf("process.scheduler: runtime, deadline and period need the policy SCHED_DEADLINE, not %.40q", s.Policy)
	}
	return s, nil
}

// ioPriority checks an I/O priority (ioprio_set(2)).
func ioPriority(p *specs.LinuxIOPriority) (*specs.LinuxIOPriority, error) {
	if p == nil {
		return nil, nil
	}
	if p.Priority < 0 || p.Priority > 7 {
		return nil, fmt.Errorf("process.ioPriority: priority %d is not from 0 to 7", p.Priority)
	}
	switch p.Class {
	case specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE:
		return p, nil
	}
	return nil, fmt.Errorf("process.ioPriority: unknown class %.40q", p.Class)
}

// cpuAffinity is the list of processors of an exec ("0-1,3"): the final one,
// in which the program runs, else the initial one.
func cpuAffinity(a *specs.CPUAffinity) (string, error) {
	if a == nil {
		return "", nil
	}
	list := a.Final
	if list == "" {
		list = a.Initial
	}
	if strings.Trim(list, "0123456789,- ") != "" {
		return "", fmt.Errorf("process.execCPUAffinity: %.80q is not a list of processors like 0-1,3", list)
	}
	return list, nil
}

// shorter is the narrower of two deadlines, of which 0 means none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
