// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Load puts every thread of the process under the filter and no_new_privs, for
// good. With cgo it breaks the process: libc's threads are not on the list.
//
// The process's own id, which the shim does not know when it builds the filter,
// is added here: a signal may go to this process alone.
func Load(p Program) error {
	if len(p) == 0 || len(p)%instruction != 0 {
		return errors.New("load the seccomp filter: it is not a whole number of instructions")
	}
	code, err := ownSignals(uint32(os.Getpid()))
	if err != nil {
		return fmt.Errorf("load the seccomp filter: %w", err)
	}
	code = append(code, p...)
	filter := unix.SockFprog{
		Len:    uint16(len(code) / instruction),
		Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(code))),
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel sets it on the threads that it synchronises, too.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("load the seccomp filter: no_new_privs: %w", err)
	}
	// Without TSYNC_ESRCH a thread that cannot be synchronised is answered with
	// its id, which looks like success.
	r, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return fmt.Errorf("load the seccomp filter: %w", errno)
	}
	if r != 0 {
		return fmt.Errorf("load the seccomp filter: thread %d cannot have it", r)
	}
	mode, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_SECCOMP, 0, 0)
	if errno != 0 || mode != unix.SECCOMP_MODE_FILTER {
		return fmt.Errorf("load the seccomp filter: it is not in force (mode %d, %v)", mode, errno)
	}
	return nil
}

// ownSignals is what goes before a program: kill and tgkill to another process
// are refused, everything else goes on to the program. A pid of 0 or below,
// which kill takes for a group, is another.
func ownSignals(pid uint32) (Program, error) {
	a := &assembler{}
	check, rest := a.label(), a.label()
	a.load(offNr)
	a.ifEqual(unix.SYS_TGKILL, check, next)
	a.ifEqual(unix.SYS_KILL, check, rest)
	a.place(check)
	a.load(offArgs)
	a.ifEqual(pid, rest, next)
	a.ret(notPermitted)
	a.place(rest)
	return a.program()
}
