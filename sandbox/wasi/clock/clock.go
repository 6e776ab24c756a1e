// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package clock reads the four clocks of a guest in nanoseconds. Wall time and
// monotonic time come without a system call.
//
// System calls: clock_gettime, clock_getres (the processor clocks; and once at
// the start, for the resolutions).
package clock

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ID is a clock, in the kernel's numbering.
type ID int32

// The clocks. Processor time is that of the sandbox process, which is the guest.
const (
	Realtime   ID = unix.CLOCK_REALTIME
	Monotonic  ID = unix.CLOCK_MONOTONIC
	ProcessCPU ID = unix.CLOCK_PROCESS_CPUTIME_ID
	ThreadCPU  ID = unix.CLOCK_THREAD_CPUTIME_ID
)

// base ties Go's monotonic reading, which the vDSO serves, to the kernel's.
var (
	base       = time.Now()
	baseOffset = kernel(Monotonic)
)

// Now reads a clock. A time before 1970 is zero.
func Now(id ID) int64 {
	switch id {
	case Realtime:
		return max(0, time.Now().UnixNano())
	case Monotonic:
		return baseOffset + int64(time.Since(base))
	}
	return kernel(id)
}

// Resolution is the step of a clock, at least one nanosecond.
func Resolution(id ID) int64 {
	var ts unix.Timespec
	syscall.Syscall(unix.SYS_CLOCK_GETRES, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	return max(1, ts.Nano())
}

func kernel(id ID) int64 {
	var ts unix.Timespec
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}
