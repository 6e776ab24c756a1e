// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	// firstForeign: this architecture has no second ABI.
	firstForeign = 0

	sysNewfstatat = unix.SYS_FSTATAT
)

// neverHere are calls of this architecture alone that are killed like never.
var neverHere = [...]uint32{}
