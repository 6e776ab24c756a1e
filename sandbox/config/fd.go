// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package config

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

// RoleEnv names the one variable in a re-executed process's environment that
// says which part it plays; its argv belongs to the guest.
const RoleEnv = "WAZERO_SHIM_ROLE"

// Values of RoleEnv.
const (
	RoleSandbox = "sandbox"
	RoleCompile = "compile"
	// RoleHold keeps a systemd scope alive until its first process is born.
	RoleHold = "hold"
)
