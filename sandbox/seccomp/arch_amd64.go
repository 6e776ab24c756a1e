// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	// firstForeign begins the numbers of another ABI under the same
	// architecture: x32.
	firstForeign = 0x40000000

	sysNewfstatat = unix.SYS_NEWFSTATAT
)

// neverHere are calls of this architecture alone that are killed like never.
var neverHere = [...]uint32{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_MODIFY_LDT, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_USELIB,
	unix.SYS_USTAT, unix.SYS__SYSCTL, unix.SYS_CREATE_MODULE,
}
