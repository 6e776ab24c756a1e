// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/seccomp"
	"containerd-shim-wazero/sandbox/wasi/poll"
)

// nobody is the user and group that a module is compiled as.
const nobody = 65534

// confine gives up all that compiling does not need. The namespaces are new
// already.
func confine() error {
	// The shim may be spared by the kernel when memory is short; a compilation
	// is the first to go. Raising needs no privilege, and nothing depends on it.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("900"), 0)
	if err := emptyRoot(); err != nil {
		return err
	}
	for _, l := range []struct {
		resource int
		limit    uint64
	}{
		{unix.RLIMIT_AS, Memory},
		{unix.RLIMIT_CPU, uint64(CPUTime.Seconds())},
		{unix.RLIMIT_FSIZE, ImageSize},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, 32},
	} {
		if err := unix.Prlimit(0, l.resource, &unix.Rlimit{Cur: l.limit, Max: l.limit}, nil); err != nil {
			return fmt.Errorf("limit resource %d: %w", l.resource, err)
		}
	}
	if err := drop(); err != nil {
		return err
	}
	filter, err := seccomp.BuildCompiler()
	if err != nil {
		return err
	}
	return seccomp.Load(filter)
}

// emptyRoot makes an empty, read-only folder the root of all paths.
func emptyRoot() error {
	const where = "/proc" // a folder that is surely there
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("none", where, "tmpfs", flags, "size=4k,nr_inodes=2,mode=555"); err != nil {
		return fmt.Errorf("mount an empty root: %w", err)
	}
	if err := unix.Chdir(where); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot to an empty root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return unix.Chdir("/")
}

// drop gives up user, groups and capabilities on every thread.
func drop() error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		switch errno := allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); errno {
		case 0, unix.EINVAL: // EINVAL: one that this kernel does not have
		case unix.ENOTSUP:
			return errors.New("the binary was built with cgo: build it with CGO_ENABLED=0")
		default:
			return fmt.Errorf("drop capability %d: %w", c, errno)
		}
	}
	// A change from root to another user clears the other sets of capabilities.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("drop groups: %w", err)
	}
	if err := syscall.Setresgid(nobody, nobody, nobody); err != nil {
		return fmt.Errorf("set group: %w", err)
	}
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		return fmt.Errorf("set user: %w", err)
	}
	if errno := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return fmt.Errorf("set no_new_privs: %w", errno)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid dumps: %w", err)
	}
	// The change of user has cleared it; the pipe tells whether the shim has died
	// meanwhile.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("die with the shim: %w", err)
	}
	if e, errno := poll.One(fdVerdict, poll.Out, 0); errno == 0 && e&poll.Err != 0 {
		return errors.New("the shim is gone")
	}
	return nil
}

func allThreads(trap, a, b, c uintptr) syscall.Errno {
	_, _, errno := syscall.AllThreadsSyscall6(trap, a, b, c, 0, 0, 0)
	return errno
}
