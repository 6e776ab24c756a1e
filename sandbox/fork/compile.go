// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fork

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// zero is what a process writes to a cgroup.procs file to enter the cgroup.
var zero = [1]byte{'0'}

var empty [1]byte

// BecomingRoot is the step that fails where a user namespace has no root.
const BecomingRoot = "becoming root of the user namespace"

// compile turns s into system calls. It opens nothing but duplicates of
// descriptors that lie where those of the child go.
func compile(s *Spec) (*program, error) {
	if s.New&unix.CLONE_NEWUSER != 0 {
		return nil, errors.New("a new user namespace is made by UserNamespace")
	}
	p := &program{pidfd: -1}
	p.stageArgs = cloneArgs{
		// CLONE_FILES: the pidfd that the stage makes is the parent's.
		// No exit signal: only a wait with __WALL sees the stage.
		flags: unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_FILES,
	}
	if s.CgroupDir != nil {
		p.stageArgs.flags |= unix.CLONE_INTO_CGROUP
		p.stageArgs.cgroup = uint64(s.CgroupDir.Fd())
	}
	p.childArgs = cloneArgs{
		flags: unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PARENT |
			unix.CLONE_PIDFD | unix.CLONE_PARENT_SETTID | s.New,
		pidfd:     uint64(pointer(&p.pidfd)),
		parentTID: uint64(pointer(&p.pid)),
	}
	p.joining(s)
	if err := p.living(s); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// joining fills in the stage's steps.
func (p *program) joining(s *Spec) {
	for _, f := range s.CgroupProcs {
		p.stage = append(p.stage, step{
			number: unix.SYS_WRITE,
			args:   [5]uintptr{f.Fd(), pointer(&zero), 1},
			name:   "entering the cgroup " + f.Name(),
		})
	}
	for _, j := range s.Join {
		p.stage = append(p.stage, step{
			number: unix.SYS_SETNS,
			args:   [5]uintptr{j.Namespace.Fd(), uintptr(j.Flags)},
			name:   "joining " + j.What,
		})
	}
	if s.Root {
		p.stage = append(p.stage,
			step{number: unix.SYS_SETGROUPS, name: "dropping groups in the user namespace"},
			step{number: unix.SYS_SETRESGID, name: BecomingRoot},
			step{number: unix.SYS_SETRESUID, name: BecomingRoot})
	}
}

// living fills in the steps of the process itself.
func (p *program) living(s *Spec) error {
	p.call(unix.SYS_PRCTL, "arming the parent's death signal", unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
	p.call(unix.SYS_SETSID, "making a session")
	for _, c := range s.Calls {
		p.child = append(p.child, step{number: c.Number, args: c.Args, name: c.What, optional: c.Optional})
		p.keep = append(p.keep, c.Keep)
	}
	for i, f := range s.Files {
		fd, err := p.above(f, len(s.Files))
		if err != nil {
			return err
		}
		p.call(unix.SYS_DUP3, "handing over descriptors", fd, uintptr(i), 0)
	}
	if s.Terminal >= 0 {
		p.call(unix.SYS_IOCTL, "taking the terminal", uintptr(s.Terminal), unix.TIOCSCTTY, 0)
	}
	// Closed by the exec and not now: the program itself is among them.
	p.call(unix.SYS_CLOSE_RANGE, "closing descriptors", uintptr(len(s.Files)), uintptr(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
	return p.exec(s)
}

func (p *program) exec(s *Spec) error {
	argv, err := p.vector(s.Args)
	if err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	envv, err := p.vector(s.Env)
	if err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	if s.Exe != nil {
		fd, err := p.above(s.Exe, len(s.Files))
		if err != nil {
			return err
		}
		p.call(unix.SYS_EXECVEAT, "executing the sandbox", fd, pointer(&empty), argv, envv, unix.AT_EMPTY_PATH)
		return nil
	}
	path, err := syscall.BytePtrFromString(s.Path)
	if err != nil {
		return fmt.Errorf("program path: %w", err)
	}
	p.keep = append(p.keep, path)
	p.call(unix.SYS_EXECVE, "executing "+s.Path, pointer(path), argv, envv)
	return nil
}

func (p *program) call(number uintptr, name string, args ...uintptr) {
	st := step{number: number, name: name}
	copy(st.args[:], args)
	p.child = append(p.child, st)
}

// above returns f's descriptor, or a duplicate where f's own is below n and
// would be overwritten.
func (p *program) above(f *os.File, n int) (uintptr, error) {
	fd := f.Fd()
	if fd >= uintptr(n) {
		return fd, nil
	}
	dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, n)
	if err != nil {
		return 0, fmt.Errorf("duplicating a descriptor: %w", err)
	}
	p.dups = append(p.dups, dup)
	return uintptr(dup), nil
}

// vector makes a NULL-terminated array of C strings.
func (p *program) vector(strs []string) (uintptr, error) {
	v, err := syscall.SlicePtrFromStrings(strs)
	if err != nil {
		return 0, err
	}
	p.keep = append(p.keep, v)
	return pointer(&v[0]), nil
}

// release closes the duplicates.
func (p *program) release() {
	for _, fd := range p.dups {
		_ = unix.Close(fd)
	}
	p.dups = nil
}
