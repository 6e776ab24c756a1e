// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "runtime/debug"

// Tune sets the Go runtime of a sandbox process for little memory. It is to be
// called first of all: a heap that has grown does not shrink to nothing.
func Tune() {
	debug.SetGCPercent(20)
}

// Settle gives what loading used back to the kernel. It is to be called between
// Load and Run.
func Settle() {
	debug.FreeOSMemory()
}
