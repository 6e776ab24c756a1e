// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package compose

import (
	"os"
	"path/filepath"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestDockerfile builds the example's images. No compiler can be pulled: the
// stage that compiles is replaced by a folder of what it makes.
func TestDockerfile(t *testing.T) {
	e := engine.Shared(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	stage := t.TempDir()
	if err := os.Mkdir(filepath.Join(stage, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"api", "worker"} {
		body, err := os.ReadFile(harness.Built(t, "example", name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stage, "out", name+".wasm"), body, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"api", "worker"} {
		tag := "built-" + name
		e.Docker(t, "build", "--platform", "wasi/wasm", "--target", name, "--build-context", "build="+stage,
			"-t", tag, filepath.Join(root, "examples/compose")).Exits(0)
		if platform := e.Ask(t, "inspect", "-f", "{{.Os}}/{{.Architecture}}", tag); platform != "wasi/wasm" {
			t.Errorf("the image of %s is for %s", name, platform)
		}
		// Without its settings it says what it lacks: it runs.
		e.Docker(t, "run", "--rm", "--runtime", engine.Runtime, "--platform", "wasi/wasm", tag).Exits(1).
			Complains(name + ": read settings: open /etc/app/settings.json: ")
		e.Docker(t, "rmi", tag).Exits(0)
	}
}
