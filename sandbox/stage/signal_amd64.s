// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The kernel calls it with the signal's number in DI.
TEXT ·exitBySignal(SB), NOSPLIT|NOFRAME, $0
	ADDL	$128, DI
	MOVL	$231, AX	// exit_group
	SYSCALL
	INT	$3

// func exitAddress() uintptr
TEXT ·exitAddress(SB), NOSPLIT, $0-8
	MOVQ	$·exitBySignal(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
