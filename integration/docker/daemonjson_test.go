// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"path/filepath"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestRuntimeOptions names the shim in daemon.json, with settings of its own.
func TestRuntimeOptions(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "wasm.toml")
	if err := os.WriteFile(settings, []byte("[ceiling]\nlisten = \"none\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	named := func(path string) map[string]any {
		return map[string]any{"runtimeType": engine.Runtime, "options": map[string]any{
			"TypeUrl": "runtimeoptions.v1.Options", "ConfigPath": path}}
	}
	e := engine.New(t, engine.WithConfig("runtimes", map[string]any{
		"wasm":    map[string]any{"runtimeType": engine.Runtime},
		"narrow":  named(settings),
		"missing": named(settings + ".missing"),
	}))
	run := func(runtime string, args ...string) *harness.Result {
		return e.Docker(t, append([]string{"run", "--rm", "--runtime", runtime, "--platform", "wasi/wasm", gonet(t, e)}, args...)...)
	}
	e.LoadAll(t)
	e.Docker(t, "run", "--rm", "--runtime", "wasm", "--platform", "wasi/wasm", engine.Box, "echo", "hi").Is(0, "hi\n")
	e.Docker(t, "run", "--rm", "--runtime", "narrow", "--platform", "wasi/wasm", engine.Box, "echo", "hi").Is(0, "hi\n")
	run("narrow", "tcp-echo", "127.0.0.1:80").Exits(1)
	run("missing", "tcp-echo", "127.0.0.1:80").Exits(125).Complains(settings + ".missing")
}
