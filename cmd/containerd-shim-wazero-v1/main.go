// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command containerd-shim-wazero-v1 is containerd's shim for WebAssembly
// containers, and every process that it consists of.
package main

import "containerd-shim-wazero/shim/command"

func main() { command.Main() }
