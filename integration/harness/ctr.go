// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os/exec"
	"testing"
)

// CtrCommand is the version's own ctr, to be run by the caller, whatever
// becomes of the node meanwhile. It is killed when the test ends.
func (n *Node) CtrCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), n.program(t, "ctr"),
		append([]string{"--address", n.Address, "--namespace", n.Namespace}, args...)...)
	cmd.Env = []string{"PATH=" + n.Path(t), "HOME=/root", "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1"}
	return cmd
}

// State is the folder of containerd's run-time state.
func (n *Node) State() string { return n.state }
