// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package seccomp is the filter of system calls under which guest code runs: a
// list of the sandbox's own, narrowed by the bundle's profile. The shim builds
// the program ([Build]), the sandbox loads it ([Load]) before its first
// instruction of guest code.
//
// A call on the list passes if the bundle's profile lets it pass with every
// argument the sandbox uses. What is not on the list is answered with EPERM;
// clone3 with ENOSYS, as programs then use clone; what no sandbox ever has a
// reason for (exec, ptrace, mounts, namespaces, bpf, io_uring, keys …), and any
// call of another architecture, ends the process.
package seccomp

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Program is an assembled filter: the kernel's struct sock_filter, one after
// the other.
type Program []byte

const (
	notPermitted = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	notThere     = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// last is the latest filter: containers of a pod mostly share one profile.
var last struct {
	sync.Mutex
	profile *specs.LinuxSeccomp
	program Program
}

// Build is the sandbox's filter within the bundle's profile, nil for a bundle
// without one. A profile that cannot be honoured, or that denies what the
// sandbox itself needs, is refused by name (errdefs.ErrInvalidArgument). The
// result must not be changed.
func Build(p *specs.LinuxSeccomp) (Program, error) {
	last.Lock()
	defer last.Unlock()
	if last.program != nil && reflect.DeepEqual(p, last.profile) {
		return last.program, nil
	}
	v, err := intersect(p)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp: %w", err)
	}
	program, err := assemble(v)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp: %w", err)
	}
	last.profile, last.program = p, program
	return program, nil
}

// intersect narrows the sandbox's list by a profile.
func intersect(spec *specs.LinuxSeccomp) (*verdicts, error) {
	if spec == nil {
		spec = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	}
	p, err := parse(spec)
	if err != nil {
		return nil, err
	}
	// At least as strict as the bundle's.
	v := &verdicts{byDefault: stricter(notPermitted, p.byDefault)}
	var missing []string
	for i := range conditional {
		c := &conditional[i]
		d := p.narrow(c)
		if c.vital && len(d.cases) != len(c.cases) {
			missing = append(missing, c.name)
		}
		v.conditional = append(v.conditional, d)
	}
	for i := range unconditional {
		c := &unconditional[i]
		action := p.verdict(c.name, nil)
		switch {
		case action == unix.SECCOMP_RET_ALLOW:
			v.allowed = append(v.allowed, c.nr)
			continue
		case action == unix.SECCOMP_RET_LOG:
			v.logged = append(v.logged, c.nr)
			continue
		case c.vital:
			missing = append(missing, c.name)
		}
		v.other(c.nr, action)
	}
	if len(missing) != 0 {
		return nil, fmt.Errorf("the profile denies what the sandbox itself needs: %s: allow them, with any arguments: %w",
			strings.Join(missing, ", "), errdefs.ErrInvalidArgument)
	}
	v.other(unix.SYS_CLONE3, stricter(notThere, p.verdict("clone3", nil)))
	v.killed = append(append(v.killed, never[:]...), neverHere[:]...)
	return v, nil
}

// narrow keeps of a call's cases those that the profile lets pass whole.
func (p *profile) narrow(c *call) verdict {
	v := verdict{nr: c.nr, otherwise: stricter(p.verdict(c.name, nil), notPermitted)}
	for _, a := range c.cases {
		if action := p.verdict(c.name, a); allows(action) {
			v.cases = append(v.cases, verdictCase{a, action})
		}
	}
	return v
}

// other gives a call an action of its own.
func (v *verdicts) other(nr, action uint32) {
	if action != v.byDefault {
		v.others = append(v.others, single{nr, action})
	}
}

// Names are the calls on the sandbox's own list, for its documentation.
func Names() []string {
	var names []string
	for _, c := range conditional {
		names = append(names, c.name)
	}
	for _, c := range unconditional {
		names = append(names, c.name)
	}
	return names
}
