// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"context"
	"syscall"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// proc_exit(code) ends the guest; it does not return.
func procExit(ctx context.Context, mod api.Module, stack []uint64) {
	exit(ctx, mod, uint32(stack[0]))
}

// exit ends the guest as wazero's own host does: the module is closed, so that
// whoever waits sees the code, and the panic unwinds the guest's stack.
func exit(ctx context.Context, mod api.Module, code uint32) {
	_ = mod.CloseWithExitCode(ctx, code)
	panic(sys.NewExitError(code))
}

// signals are Linux's numbers in the definition's order, from none to sys.
var signals = [...]syscall.Signal{
	0, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT,
	syscall.SIGBUS, syscall.SIGFPE, syscall.SIGKILL, syscall.SIGUSR1, syscall.SIGSEGV, syscall.SIGUSR2,
	syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGTERM, syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGSTOP,
	syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGXCPU, syscall.SIGXFSZ,
	syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGWINCH, syscall.SIGPOLL, syscall.SIGPWR, syscall.SIGSYS,
}

// proc_raise(signal) does what the signal does to a process without handlers:
// nothing, or the end with 128 and its number. A guest cannot stop itself.
func procRaise(f *Front, p []uint64) Errno {
	n := uint32(p[0])
	if n >= uint32(len(signals)) {
		return ErrnoInval
	}
	switch s := signals[n]; s {
	case 0, syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH:
	case syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		return ErrnoNotsup
	default:
		exit(context.Background(), f.mod, 128+uint32(s))
	}
	return ErrnoSuccess
}

// sched_yield() lets others run.
func schedYield(*Front, []uint64) Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
	return ErrnoOf(errno)
}
