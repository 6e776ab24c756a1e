// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package random gives a guest random bytes from the kernel, without /dev.
//
// System calls: getrandom.
package random

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// step bounds one call, so that a guest which asks for gigabytes can be killed.
const step = 1 << 20

// Fill fills p from the kernel's generator.
func Fill(p []byte) syscall.Errno {
	for len(p) > 0 {
		part := p[:min(len(p), step)]
		n, _, errno := syscall.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(unsafe.SliceData(part))),
			uintptr(len(part)), 0)
		if errno != 0 && errno != syscall.EINTR {
			return errno
		}
		if errno == 0 {
			p = p[n:]
		}
	}
	return 0
}
