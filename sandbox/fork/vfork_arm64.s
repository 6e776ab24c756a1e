// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func vfork(args, size uintptr) (pid uintptr)
//
// The child returns first, on the caller's own stack. The return address stays
// in the link register, which the kernel saves for the parent.
TEXT ·vfork(SB), NOSPLIT, $0-24
	MOVD	args+0(FP), R0
	MOVD	size+8(FP), R1
	MOVD	$435, R8	// clone3
	SVC
	MOVD	R0, pid+16(FP)
	RET
