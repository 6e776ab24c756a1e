// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "containerd-shim-wazero/sandbox/role"

// Descriptors of a sandbox process when it is executed. 0 and 1 are /dev/null
// and 2 is a pipe to the shim's log: what the Go runtime prints of its own must
// never reach the guest's stdio.
const (
	// FDLog takes short lines for the operator.
	FDLog = 2
	// FDStdin, FDStdout and FDStderr are the guest's stdio.
	FDStdin  = 3
	FDStdout = 4
	FDStderr = 5
	// FDControl is the socket to the shim; closed before the guest's first instruction.
	FDControl = 6
)

// Names of package role.
const (
	RoleEnv     = role.Env
	RoleSandbox = role.Sandbox
	RoleCompile = role.Compile
)
