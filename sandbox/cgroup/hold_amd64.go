// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

const elfMachine = 62 // EM_X86_64

// sleepForEver is
//
//	again:	mov	$34, %eax	# pause
//		syscall
//		jmp	again
var sleepForEver = [...]byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}
