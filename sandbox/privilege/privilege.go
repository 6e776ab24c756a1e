// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package privilege brings a sandbox process down to what its bundle grants:
// user, groups, capabilities, resource limits, scheduling.
//
// It works in three places. [Calls] are raw system calls for the forked child
// while it has one thread: there they cost microseconds, while later each would
// have to be made on every thread of the Go runtime. [Drop] gives up the rest in
// the sandbox process, on all threads, before it looks at a byte of the guest.
// [Limit] sets the resource limits once the module is loaded.
package privilege

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// Drop makes the whole process the container's user, with the capabilities of
// p in effect and no other, for good. It is called on the main thread, locked to
// its goroutine, which is then the one that dies with the shim: whether the shim
// lives still shows in the control socket, as a pid namespace hides its pid.
//
// Inheritable and ambient capabilities are given up whatever p says: they mean
// something to a program that executes another, and the sandbox never does.
func Drop(p *config.Process) error {
	if err := raiseHardLimits(p.Rlimits); err != nil {
		return err
	}
	unix.Umask(umask(p))
	if err := dropUser(p); err != nil {
		return err
	}
	if err := setCapabilities(p.Capabilities); err != nil {
		return fmt.Errorf("setting the capabilities: %w", err)
	}
	if err := noNewPrivileges(); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbidding dumps and tracers: %w", err)
	}
	// The change of credentials has disarmed it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("arming the shim's death signal: %w", err)
	}
	return nil
}

func umask(p *config.Process) int {
	if p.User.Umask != nil {
		return int(*p.User.Umask & 0o777)
	}
	return 0o022
}

// dropUser changes groups, group and user. What is so already is not changed,
// as each change stops all threads.
func dropUser(p *config.Process) error {
	u := p.User
	want := make([]int, len(u.Groups))
	for i, g := range u.Groups {
		want[i] = int(g)
	}
	slices.Sort(want) // the kernel's order
	have, err := unix.Getgroups()
	if err != nil || !slices.Equal(have, want) {
		if err := syscall.Setgroups(want); err != nil {
			return mapped(fmt.Errorf("setting the groups %v: %w", want, err))
		}
	}
	if r, e, s := unix.Getresgid(); r != int(u.GID) || e != r || s != r {
		if err := syscall.Setresgid(int(u.GID), int(u.GID), int(u.GID)); err != nil {
			return mapped(fmt.Errorf("becoming group %d: %w", u.GID, err))
		}
	}
	if r, e, s := unix.Getresuid(); r == int(u.UID) && e == r && s == r {
		return nil
	}
	if p.Capabilities != 0 {
		// Without it the change of user would take the capabilities along.
		if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1); err != nil {
			return fmt.Errorf("keeping capabilities: %w", err)
		}
	}
	if err := syscall.Setresuid(int(u.UID), int(u.UID), int(u.UID)); err != nil {
		return mapped(fmt.Errorf("becoming user %d: %w", u.UID, err))
	}
	return nil
}

// mapped adds a reason to an error that means a missing mapping.
func mapped(err error) error {
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: the user namespace has no mapping for it: %w", err, errdefs.ErrInvalidArgument)
	}
	return err
}

// capData is the pair of structures that capset takes (capabilities(7)).
type capData [2]unix.CapUserData

func newCapData(effective, permitted, inheritable uint64) *capData {
	d := new(capData)
	for i := range d {
		shift := 32 * i
		d[i] = unix.CapUserData{
			Effective:   uint32(effective >> shift),
			Permitted:   uint32(permitted >> shift),
			Inheritable: uint32(inheritable >> shift),
		}
	}
	return d
}

// setCapabilities leaves those of set in effect. That clears the ambient ones,
// too.
func setCapabilities(set uint64) error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := newCapData(set, set, 0)
	err := allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)))
	runtime.KeepAlive(header)
	runtime.KeepAlive(data)
	return err
}

// noNewPrivileges sets no_new_privs, unless it came with the birth.
func noNewPrivileges() error {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil || set == 1 {
		return err
	}
	return allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// allThreads makes a system call on every thread. It stops all of them.
func allThreads(trap, a, b uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a, b, 0, 0, 0, 0)
	if errno == unix.ENOTSUP {
		return errors.New("the binary was built with cgo, which keeps threads of its own: build it with CGO_ENABLED=0")
	}
	if errno != 0 {
		return errno
	}
	return nil
}
