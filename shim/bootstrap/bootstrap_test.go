// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Setenv("TTRPC_ADDRESS", "/run/c.ttrpc")
	for line, want := range map[string]Invocation{
		"-namespace ns -address /run/c -publish-binary /bin/c -id c1 start": {
			Namespace: "ns", ID: "c1", Address: "/run/c", TTRPCAddress: "/run/c.ttrpc", Action: "start",
		},
		"-namespace ns -address /run/c -publish-binary /bin/c -id c1 -bundle /b -debug delete": {
			Namespace: "ns", ID: "c1", Address: "/run/c", TTRPCAddress: "/run/c.ttrpc", Bundle: "/b", Debug: true, Action: "delete",
		},
		"-namespace ns -id c1 -address /run/c -socket /run/s/1": {
			Namespace: "ns", ID: "c1", Address: "/run/c", TTRPCAddress: "/run/c.ttrpc", Socket: "/run/s/1",
		},
		"-info": {TTRPCAddress: "/run/c.ttrpc", Info: true},
		"-v":    {TTRPCAddress: "/run/c.ttrpc", Version: true},
	} {
		got, err := Parse(strings.Fields(line))
		if err != nil || *got != want {
			t.Errorf("%s: got %+v, %v", line, got, err)
		}
	}
	for line, want := range map[string]string{
		"":                             "-namespace",
		"-namespace ns start":          "-id",
		"-namespace ns -id c1 restart": "restart",
		"-unknown":                     "-unknown",
	} {
		if _, err := Parse(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", line, err)
		}
	}
}
