// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestDetach: the keys that detach leave the container running, as for Linux.
func TestDetach(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	for _, kind := range []string{"wasm", "linux"} {
		name := box(t, e, "detach", kind, "-it", "answer")
		for _, test := range []struct {
			options []string
			keys    string
		}{{nil, "\x10\x11"}, {[]string{"--detach-keys=ctrl-x,x"}, "\x18x"}} {
			args := append(append([]string{"attach"}, test.options...), name)
			// What is typed before the client has taken the terminal is not read as keys.
			r := harness.OnTerminal(t, e.Command(t, args...)).Type("typed\n").Expect("got typed").Type(test.keys).Ends()
			if r.Status != 0 && !strings.Contains(r.Stdout, "read escape sequence") {
				t.Errorf("%s, docker %v: status %d, %q", kind, args, r.Status, r.Stdout)
			}
			if got := inspect(t, e, name, "{{.State.Running}}"); got != "true" {
				t.Errorf("%s: running is %s after it was detached from", kind, got)
			}
		}
		harness.Eventually(t, "the container has read both lines", func() bool {
			return strings.Count(e.Docker(t, "logs", name).Stdout, "got typed") == 2
		})
		e.Docker(t, "rm", "-f", name).Exits(0)
	}
}
