// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestBuild builds an image for wasi/wasm FROM scratch, with and without
// attestations, runs it, and again after it was saved and loaded.
func TestBuild(t *testing.T) {
	e := engine.Shared(t)
	module, err := os.ReadFile(harness.Built(t, "guests", "hello-c.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"hello.wasm": string(module),
		"Dockerfile": "FROM scratch\nCOPY hello.wasm /\nENTRYPOINT [\"/hello.wasm\"]\n",
	}
	for _, row := range []struct {
		name, platform string
		args           []string
	}{
		{"attested", "wasi/wasm", nil},
		{"plain", "wasi/wasm", []string{"--provenance=false"}},
		{"wasip1", "wasip1/wasm", []string{"--provenance=false"}},
		{"linux", "linux/" + harness.Architecture(), []string{"--provenance=false"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := "built-" + row.name
			run := []string{"run", "--rm", "--runtime", engine.Runtime, "--platform", row.platform, name}
			e.Build(t, files, append([]string{"--platform", row.platform, "-t", name}, row.args...)...).Exits(0)
			e.Docker(t, run...).Is(0, "hello from C\n")
			e.Shell(t, t.TempDir(), "docker save -o i.tar "+name+" && docker rmi "+name+" && docker load -i i.tar").Exits(0)
			e.Docker(t, run...).Is(0, "hello from C\n")
		})
	}
}
