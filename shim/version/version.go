// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package version says which build of the shim this is.
package version

// Name is the runtime's name in containerd and Docker.
const Name = "io.containerd.wazero.v1"

// Set by the linker: -X containerd-shim-wazero/shim/version.Version=…
var (
	Version  = "0.1.0-dev"
	Revision = ""
)
