// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func vfork(args, size uintptr) (pid uintptr)
//
// The child returns first, on the caller's own stack. The return address waits
// in a register (which the kernel saves for the parent), since the child's
// calls overwrite the stack below.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-24
	MOVQ	args+0(FP), DI
	MOVQ	size+8(FP), SI
	MOVQ	$435, AX	// clone3
	POPQ	R12
	SYSCALL
	PUSHQ	R12
	MOVQ	AX, pid+16(FP)
	RET
