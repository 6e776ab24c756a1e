// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	// A binary of another folder than those of containerd's PATH.
	path := filepath.Join(t.TempDir(), harness.ShimBinary)
	binary, err := os.ReadFile(harness.Shim())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	e := engine.New(t, engine.WithConfig("runtimes", map[string]any{
		"wasm": map[string]any{"runtimeType": engine.Runtime},
		"path": map[string]any{"runtimeType": path},
		// As docs/docker.md has it.
		"documented": map[string]any{"runtimeType": engine.Runtime, "options": map[string]any{"ConfigPath": settings}},
		"narrow":     named(settings),
		"missing":    named(settings + ".missing"),
	}))
	run := func(runtime string, args ...string) *harness.Result {
		return e.Docker(t, append([]string{"run", "--rm", "--runtime", runtime, "--platform", "wasi/wasm", gonet(t, e)}, args...)...)
	}
	e.LoadAll(t)
	e.Docker(t, "run", "--rm", "--runtime", "wasm", "--platform", "wasi/wasm", engine.Box, "echo", "hi").Is(0, "hi\n")
	e.Docker(t, "run", "--rm", "--runtime", "narrow", "--platform", "wasi/wasm", engine.Box, "echo", "hi").Is(0, "hi\n")
	for _, runtime := range []string{"narrow", "documented"} {
		run(runtime, "tcp-echo", "127.0.0.1:80").Is(1, "").Complains("listen tcp 127.0.0.1:80: bind: Permission denied")
	}
	e.Docker(t, "run", "-d", "--name", "there", "--runtime", "path", "--platform", "wasi/wasm", engine.Box, "sleep", "1000000").Exits(0)
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", parent(t, pid(t, e, "there"))))
	if err != nil || !strings.HasPrefix(string(args), path+"\x00") {
		t.Errorf("the shim is %q, %v; want %s", args, err, path)
	}
	run("missing", "tcp-echo", "127.0.0.1:80").Exits(125).Complains(settings + ".missing")
}
