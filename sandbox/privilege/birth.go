// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/fork"
)

// Calls are what a forked child does about its privileges between its birth and
// the exec of the sandbox. userns says that it is user 0 of a user namespace
// other than the shim's.
//
// The bounding set is dropped to p's capabilities here, though the sandbox needs
// more until it drops the rest: these pass the exec as inheritable ones.
func Calls(p *config.Process, userns bool) ([]fork.Call, error) {
	calls, err := scheduling(p)
	if err != nil {
		return nil, err
	}
	if p.Personality != nil {
		c, err := personality(p.Personality)
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	calls = append(calls, groups(p.User.Groups))
	caps, err := capabilities(p.Capabilities, userns)
	if err != nil {
		return nil, err
	}
	calls = append(calls, caps...)
	// A security label acts at one more exec, and some transitions are not
	// allowed under no_new_privs: Drop sets it then.
	if p.AppArmorProfile == "" && p.SELinuxLabel == "" {
		calls = append(calls, fork.Call{Number: unix.SYS_PRCTL, Args: [5]uintptr{unix.PR_SET_NO_NEW_PRIVS, 1}, What: "setting no_new_privs"})
	}
	return calls, nil
}

// ProgramCalls are what a forked child does to become p's user, with p's
// capabilities and no more, before it executes a program that is not the
// sandbox: the container's own, which nobody here vouches for.
func ProgramCalls(p *config.Process, userns bool) ([]fork.Call, error) {
	calls, err := Calls(p, userns)
	if err != nil {
		return nil, err
	}
	permitted, err := ownCapabilities(userns)
	if err != nil {
		return nil, err
	}
	uid, gid := uintptr(p.User.UID), uintptr(p.User.GID)
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := newCapData(permitted, permitted, 0)
	return append(calls,
		fork.Call{Number: unix.SYS_PRCTL, Args: [5]uintptr{unix.PR_SET_NO_NEW_PRIVS, 1}, What: "setting no_new_privs"},
		// Nothing is inherited: the exec leaves root the bounding set alone,
		// and another user nothing.
		fork.Call{
			Number: unix.SYS_CAPSET, What: "keeping capabilities from the program",
			Args: [5]uintptr{uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data))}, Keep: []any{header, data},
		},
		fork.Call{Number: unix.SYS_SETRESGID, Args: [5]uintptr{gid, gid, gid}, What: "becoming the container's group"},
		fork.Call{Number: unix.SYS_SETRESUID, Args: [5]uintptr{uid, uid, uid}, What: "becoming the container's user"},
	), nil
}

// groups sets the supplementary groups, which alone give no access that root
// does not have.
func groups(gids []uint32) fork.Call {
	c := fork.Call{Number: unix.SYS_SETGROUPS, What: "setting the groups"}
	if len(gids) != 0 {
		c.Args = [5]uintptr{uintptr(len(gids)), uintptr(unsafe.Pointer(unsafe.SliceData(gids)))}
		c.Keep = gids
	}
	return c
}

// lastCapability is the highest that this kernel has.
var lastCapability = sync.OnceValue(func() uintptr {
	last := uintptr(unix.CAP_LAST_CAP)
	for ; last > 0 && unix.Prctl(unix.PR_CAPBSET_READ, last, 0, 0, 0) != nil; last-- {
	}
	for ; last < 63 && unix.Prctl(unix.PR_CAPBSET_READ, last+1, 0, 0, 0) == nil; last++ {
	}
	return last
})

// capabilities makes the child's own capabilities inheritable, so that the exec
// keeps them, and drops the bounding set to keep.
func capabilities(keep uint64, userns bool) ([]fork.Call, error) {
	permitted, err := ownCapabilities(userns)
	if err != nil {
		return nil, err
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := newCapData(permitted, permitted, permitted)
	set := fork.Call{
		Number: unix.SYS_CAPSET, What: "keeping capabilities over the exec",
		Args: [5]uintptr{uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data))},
		Keep: []any{header, data},
	}
	calls := make([]fork.Call, 1, 2+lastCapability())
	calls[0] = set
	for c := uintptr(0); c <= lastCapability(); c++ {
		if keep&(1<<c) == 0 {
			calls = append(calls, fork.Call{Number: unix.SYS_PRCTL, Args: [5]uintptr{unix.PR_CAPBSET_DROP, c}, What: "dropping the bounding capabilities"})
		}
	}
	return calls, nil
}

// ownCapabilities are the child's before it drops any: those of the shim, or
// all of them in a user namespace of which it is user 0.
func ownCapabilities(userns bool) (uint64, error) {
	if userns {
		return ^uint64(0) >> (63 - lastCapability()), nil
	}
	var own capData
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(header, &own[0]); err != nil {
		return 0, fmt.Errorf("reading the shim's capabilities: %w", err)
	}
	return uint64(own[0].Permitted) | uint64(own[1].Permitted)<<32, nil
}

// Personality flags (personality(2)).
const perLinux32 = 0x0008

func personality(p *specs.LinuxPersonality) (fork.Call, error) {
	c := fork.Call{Number: unix.SYS_PERSONALITY, What: "setting the personality " + string(p.Domain)}
	switch p.Domain {
	case specs.PerLinux:
	case specs.PerLinux32:
		c.Args[0] = perLinux32
	default:
		return c, fmt.Errorf("linux.personality.domain %q is neither LINUX nor LINUX32: %w", p.Domain, errdefs.ErrInvalidArgument)
	}
	if len(p.Flags) != 0 {
		return c, fmt.Errorf("linux.personality.flags are not supported, as with runc: %w", errdefs.ErrInvalidArgument)
	}
	return c, nil
}

// scheduling is affinity, scheduler and I/O priority, all of which threads
// inherit.
func scheduling(p *config.Process) ([]fork.Call, error) {
	var calls []fork.Call
	if p.CPUAffinity != "" {
		set, err := parseCPUs(p.CPUAffinity)
		if err != nil {
			return nil, fmt.Errorf("process.execCPUAffinity: %w", err)
		}
		calls = append(calls, fork.Call{
			Number: unix.SYS_SCHED_SETAFFINITY, What: "setting the processors " + p.CPUAffinity,
			Args: [5]uintptr{0, unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set))}, Keep: set,
		})
	}
	if p.Scheduler != nil {
		attr, err := schedAttr(p.Scheduler)
		if err != nil {
			return nil, fmt.Errorf("process.scheduler: %w", err)
		}
		calls = append(calls, fork.Call{
			Number: unix.SYS_SCHED_SETATTR, What: "setting the scheduler " + string(p.Scheduler.Policy),
			Args: [5]uintptr{0, uintptr(unsafe.Pointer(attr)), 0}, Keep: attr,
		})
	}
	if p.IOPriority != nil {
		prio, err := ioPriority(p.IOPriority)
		if err != nil {
			return nil, fmt.Errorf("process.ioPriority: %w", err)
		}
		const whoProcess = 1 // IOPRIO_WHO_PROCESS
		calls = append(calls, fork.Call{
			Number: unix.SYS_IOPRIO_SET, What: "setting the I/O priority", Args: [5]uintptr{whoProcess, 0, prio},
		})
	}
	return calls, nil
}

// parseCPUs reads a list of processors, "0-3,7".
func parseCPUs(list string) (*unix.CPUSet, error) {
	set := new(unix.CPUSet)
	size := int(unsafe.Sizeof(*set)) * 8
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || first > last || int(last) >= size {
			return nil, fmt.Errorf("%q is no list of processors like 0-3,7: %w", list, errdefs.ErrInvalidArgument)
		}
		for cpu := first; cpu <= last; cpu++ {
			set.Set(int(cpu))
		}
	}
	return set, nil
}

// policies are the scheduling policies by name (sched(7)).
var policies = []struct {
	name   specs.LinuxSchedulerPolicy
	number uint32
}{
	{specs.SchedOther, 0}, {specs.SchedFIFO, 1}, {specs.SchedRR, 2}, {specs.SchedBatch, 3},
	{specs.SchedISO, 4}, {specs.SchedIdle, 5}, {specs.SchedDeadline, 6},
}

// schedulerFlags are bits of sched_attr's flags by name (linux/sched.h).
var schedulerFlags = []struct {
	name specs.LinuxSchedulerFlag
	bit  uint64
}{
	{specs.SchedFlagResetOnFork, 0x01}, {specs.SchedFlagReclaim, 0x02}, {specs.SchedFlagDLOverrun, 0x04},
	{specs.SchedFlagKeepPolicy, 0x08}, {specs.SchedFlagKeepParams, 0x10},
	{specs.SchedFlagUtilClampMin, 0x20}, {specs.SchedFlagUtilClampMax, 0x40},
}

func schedAttr(s *specs.Scheduler) (*unix.SchedAttr, error) {
	attr := &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	}
	known := false
	for _, p := range policies {
		if p.name == s.Policy {
			attr.Policy, known = p.number, true
		}
	}
	if !known {
		return nil, fmt.Errorf("policy %q is not known: %w", s.Policy, errdefs.ErrInvalidArgument)
	}
	for _, name := range s.Flags {
		known = false
		for _, f := range schedulerFlags {
			if f.name == name {
				attr.Flags |= f.bit
				known = true
			}
		}
		if !known {
			return nil, fmt.Errorf("flag %q is not known: %w", name, errdefs.ErrInvalidArgument)
		}
	}
	return attr, nil
}

// ioPriority packs class and priority as ioprio_set(2) takes them.
func ioPriority(p *specs.LinuxIOPriority) (uintptr, error) {
	classes := map[specs.IOPriorityClass]uintptr{
		specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3,
	}
	class, ok := classes[p.Class]
	if !ok {
		return 0, fmt.Errorf("class %q is not known: %w", p.Class, errdefs.ErrInvalidArgument)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return 0, fmt.Errorf("priority %d is not within 0 and 7: %w", p.Priority, errdefs.ErrInvalidArgument)
	}
	return class<<13 | uintptr(p.Priority), nil
}
