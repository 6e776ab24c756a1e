// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// exitAddress is the address of a handler that ends the process with the exit
// status 128 and the signal's number. It is machine code that asks nothing of
// the Go runtime: that could not answer while a guest spins, answers with
// status 2 as pid 1, and without a handler the kernel lets a pid 1 ignore
// signals of its terminal.
func exitAddress() uintptr

// kernelSigaction is the kernel's struct sigaction.
type kernelSigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	_        uint64 // mask
}

const (
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	sigIgn     = 1
)

// ending are the signals that end a Linux process, but those which the Go
// runtime needs itself. The shim ends a process by other means; these come from
// a terminal, from the kernel's limits, or from an administrator.
var ending = [...]unix.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM,
	unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR, unix.SIGSTKFLT, unix.SIGXCPU,
}

// ignored are what does nothing to a guest: a terminal's stop signals, which no
// shell would ever continue; SIGXFSZ, so that the write fails instead; SIGCHLD,
// so that the kernel reaps orphans.
var ignored = [...]unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXFSZ, unix.SIGCHLD}

func answerSignals() error {
	exit := kernelSigaction{handler: exitAddress(), flags: saOnStack | saRestorer, restorer: exitAddress()}
	for _, sig := range ending {
		if err := sigaction(sig, &exit); err != nil {
			return err
		}
	}
	ignore := kernelSigaction{handler: sigIgn}
	for _, sig := range ignored {
		if err := sigaction(sig, &ignore); err != nil {
			return err
		}
	}
	return nil
}

func sigaction(sig unix.Signal, act *kernelSigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), pointer(act), 0, 8, 0, 0)
	if errno != 0 {
		return fmt.Errorf("answering %v: %w", sig, errno)
	}
	return nil
}
