// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// BuildCompiler is the filter of the process that compiles modules: the Go
// runtime, and reading and writing what is open. Memory may be made executable
// there, since making code is what it does.
func BuildCompiler() (Program, error) {
	v := &verdicts{byDefault: notPermitted}
	for i := range conditional {
		if c := &conditional[i]; slices.Contains(compilerConditional[:], c.nr) {
			d := verdict{nr: c.nr, otherwise: notPermitted}
			for _, a := range c.cases {
				d.cases = append(d.cases, verdictCase{a, unix.SECCOMP_RET_ALLOW})
			}
			v.conditional = append(v.conditional, d)
		}
	}
	v.allowed = compilerAllowed[:]
	v.other(unix.SYS_CLONE3, notThere)
	v.killed = append(append(v.killed, never[:]...), neverHere[:]...)
	return assemble(v)
}

// compilerConditional are calls of the sandbox's own list, with its conditions.
var compilerConditional = [...]uint32{unix.SYS_CLONE, unix.SYS_PRCTL, unix.SYS_PRLIMIT64}

var compilerAllowed = [...]uint32{
	unix.SYS_MMAP, unix.SYS_MPROTECT, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE,
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_SCHED_YIELD,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_TGKILL,
	unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_RESTART_SYSCALL, unix.SYS_GETRANDOM, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_FSTAT, unix.SYS_LSEEK,
	unix.SYS_FTRUNCATE, unix.SYS_CLOSE, unix.SYS_FCNTL,
}
