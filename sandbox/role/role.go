// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package role names the parts that a re-executed process plays. It imports
// nothing, for those who have to know before anything is initialised.
package role

// Env is the one variable in a re-executed process's environment that says
// which part it plays; its argv belongs to the guest.
const Env = "WAZERO_SHIM_ROLE"

// Values of Env.
const (
	Sandbox = "sandbox"
	Compile = "compile"
)
