// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxErrno is the largest error number that a filter can answer.
const maxErrno = 4095

// profile is a bundle's profile, checked and in the kernel's terms.
type profile struct {
	byDefault uint32 // action
	rules     map[string][]rule
}

// rule is an action for a call whose arguments meet all conditions.
type rule struct {
	action     uint32
	conditions []specs.LinuxSeccompArg
}

// parse checks a profile. Names of calls that are not on the sandbox's list are
// not looked at: those calls are denied whatever the profile says.
func parse(p *specs.LinuxSeccomp) (*profile, error) {
	byDefault, err := action(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("defaultAction: %w", err)
	}
	for _, f := range p.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv, "SECCOMP_FILTER_FLAG_TSYNC":
			// None makes a filter stricter: more lines in the audit log, fewer
			// mitigations, a detail of notifications, and what is done anyway.
		default:
			return nil, fmt.Errorf("flag %q is not known: %w", f, errdefs.ErrInvalidArgument)
		}
	}
	out := &profile{byDefault: byDefault, rules: make(map[string][]rule, len(conditional)+len(unconditional))}
	for i := range p.Syscalls {
		if err := out.add(&p.Syscalls[i]); err != nil {
			return nil, fmt.Errorf("syscalls[%d] (%s): %w", i, first(p.Syscalls[i].Names), err)
		}
	}
	return out, nil
}

func first(names []string) string {
	if len(names) == 0 {
		return "no names"
	}
	return names[0]
}

func (p *profile) add(s *specs.LinuxSyscall) error {
	act, err := action(s.Action, s.ErrnoRet)
	if err != nil {
		return err
	}
	var seen [6]bool
	twice := false
	for _, c := range s.Args {
		if c.Index > 5 {
			return fmt.Errorf("argument %d: a system call has 0 to 5: %w", c.Index, errdefs.ErrInvalidArgument)
		}
		switch c.Op {
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
		default:
			return fmt.Errorf("operator %q is not known: %w", c.Op, errdefs.ErrInvalidArgument)
		}
		twice = twice || seen[c.Index]
		seen[c.Index] = true
	}
	if act == p.byDefault {
		return nil // as runc has it: such a rule says nothing
	}
	for _, name := range s.Names {
		if !twice {
			p.rules[name] = append(p.rules[name], rule{act, s.Args})
			continue
		}
		// Two conditions on one argument are alternatives: libseccomp cannot
		// join them, and runc makes a rule of each.
		for i := range s.Args {
			p.rules[name] = append(p.rules[name], rule{act, s.Args[i : i+1]})
		}
	}
	return nil
}

// action is the kernel's for the profile's name of it. Where a thread would be
// killed or trapped, the process ends: a Go program cannot lose a thread, and a
// guest cannot catch the signal.
func action(name specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	switch name {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActErrno:
		if errno == nil {
			return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), nil
		}
		if *errno > maxErrno {
			return 0, fmt.Errorf("errnoRet %d is more than %d: %w", *errno, maxErrno, errdefs.ErrInvalidArgument)
		}
		return unix.SECCOMP_RET_ERRNO | uint32(*errno), nil
	case specs.ActTrace:
		// Without a tracer, which a sandbox never has, the kernel says this.
		return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS), nil
	case specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActNotify:
		return 0, fmt.Errorf("SCMP_ACT_NOTIFY needs a supervisor, which Wasm containers do not support: use SCMP_ACT_ERRNO: %w", errdefs.ErrInvalidArgument)
	}
	return 0, fmt.Errorf("action %q is not known: %w", name, errdefs.ErrInvalidArgument)
}

// allows reports whether an action lets a call pass.
func allows(action uint32) bool {
	return action == unix.SECCOMP_RET_ALLOW || action == unix.SECCOMP_RET_LOG
}

// verdict is the profile's action for a call with arguments as in a, whatever
// the arguments that a does not list: an allowing one only if every call that
// fits passes.
func (p *profile) verdict(name string, a args) uint32 {
	rules := p.rules[name]
	if len(rules) == 0 {
		return p.byDefault
	}
	var values [6]uint64
	return p.combine(rules, a, 0, 0, &values)
}

// combine goes through the values of each argument in turn and keeps the
// strictest action that one combination of them meets.
func (p *profile) combine(rules []rule, a args, i int, known uint8, values *[6]uint64) uint32 {
	if i == len(a) {
		return p.decide(rules, known, values)
	}
	strictest := uint32(unix.SECCOMP_RET_ALLOW)
	for _, v := range a[i].values {
		values[a[i].index] = v
		strictest = stricter(strictest, p.combine(rules, a, i+1, known|1<<a[i].index, values))
	}
	return strictest
}

// decide is the action for one combination of known arguments. A rule that
// denies counts if it might match, one that allows only if it does.
func (p *profile) decide(rules []rule, known uint8, values *[6]uint64) uint32 {
	denied, allowed, logged := uint32(unix.SECCOMP_RET_ALLOW), false, false
	for i := range rules {
		m := rules[i].match(known, values)
		switch {
		case m == no:
		case !allows(rules[i].action):
			denied = stricter(denied, rules[i].action)
		case m == yes:
			allowed = allowed || rules[i].action == unix.SECCOMP_RET_ALLOW
			logged = logged || rules[i].action == unix.SECCOMP_RET_LOG
		}
	}
	switch {
	case !allows(denied):
		return denied
	case logged:
		return unix.SECCOMP_RET_LOG
	case allowed:
		return unix.SECCOMP_RET_ALLOW
	}
	return p.byDefault
}

// stricter is the one of two actions that the kernel would prefer.
func stricter(a, b uint32) uint32 {
	// As signed numbers, smaller is stricter: linux/seccomp.h.
	if int32(a&unix.SECCOMP_RET_ACTION_FULL) <= int32(b&unix.SECCOMP_RET_ACTION_FULL) {
		return a
	}
	return b
}

// truth is what is known of a condition when not every argument is.
type truth int

const (
	no truth = iota
	perhaps
	yes
)

func (r *rule) match(known uint8, values *[6]uint64) truth {
	result := yes
	for i := range r.conditions {
		c := &r.conditions[i]
		if known&(1<<c.Index) == 0 {
			result = perhaps
			continue
		}
		if !holds(c, values[c.Index]) {
			return no
		}
	}
	return result
}

func holds(c *specs.LinuxSeccompArg, v uint64) bool {
	switch c.Op {
	case specs.OpNotEqual:
		return v != c.Value
	case specs.OpLessThan:
		return v < c.Value
	case specs.OpLessEqual:
		return v <= c.Value
	case specs.OpEqualTo:
		return v == c.Value
	case specs.OpGreaterEqual:
		return v >= c.Value
	case specs.OpGreaterThan:
		return v > c.Value
	case specs.OpMaskedEqual:
		return v&c.Value == c.ValueTwo
	}
	return false
}
