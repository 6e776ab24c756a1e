// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestDoctor has the shim's doctor look at a real Docker Engine. What it says
// of each runtime in daemon.json is what docker run finds.
func TestDoctor(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "wasm.toml")
	if err := os.WriteFile(settings, []byte("[ceiling]\nlisten = \"none\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	with := func(kind, path string) map[string]any {
		return map[string]any{"runtimeType": kind, "options": map[string]any{"ConfigPath": path}}
	}
	good := map[string]any{
		"by-name":  map[string]any{"runtimeType": engine.Runtime},
		"by-path":  map[string]any{"runtimeType": harness.Shim()},
		"settings": with(engine.Runtime, settings),
	}
	bad := map[string]any{
		"no-program":  map[string]any{"runtimeType": harness.Shim() + ".none"},
		"no-settings": with(engine.Runtime, settings+".none"),
		"no-type":     map[string]any{"runtimeType": "io.containerd.wazero.v2"},
		"path":        map[string]any{"path": harness.Shim()},
	}
	for _, row := range []struct {
		name     string
		runtimes map[string]any
		works    bool
		level    string
	}{{"good", good, true, "ok"}, {"bad", bad, false, "MISSING"}} {
		t.Run(row.name, func(t *testing.T) {
			e := engine.New(t, engine.WithConfig("runtimes", row.runtimes))
			e.LoadAll(t)
			r := doctor(t, e)
			if (r.Status == 0) != row.works {
				t.Errorf("doctor: status %d\n%s", r.Status, r.Stdout)
			}
			finds(t, r, "ok", "Docker", "Engine "+regexp.QuoteMeta(e.Ask(t, "version", "-f", "{{.Server.Version}}"))+"\n")
			finds(t, r, "ok", "images", "")
			finds(t, r, "ok", "cache", "")
			for name := range row.runtimes {
				finds(t, r, row.level, "runtime "+name, "")
				if got := e.Docker(t, "run", "--rm", "--runtime", name, "--platform", "wasi/wasm", engine.Box, "echo", "hi"); (got.Status == 0) != row.works {
					t.Errorf("--runtime %s: status %d, and doctor says %s: %s", name, got.Status, row.level, got.Stderr)
				}
			}
		})
	}
}

// TestDoctorStore: an engine with its own image store takes no image for
// wasi/wasm, and doctor says so; it needs no name in daemon.json.
func TestDoctorStore(t *testing.T) {
	e := engine.New(t, engine.WithConfig("features", map[string]bool{"containerd-snapshotter": false}))
	r := doctor(t, e).Exits(0)
	finds(t, r, "note", "images", ".*\n.*-> set .*containerd-snapshotter.* and restart Docker")
	finds(t, r, "ok", "runtimes", ".*"+regexp.QuoteMeta(engine.Runtime))
}

// TestDoctorRootless finds the dockerd of the user who asks, and what that one
// reads, with DOCKER_HOST and without.
func TestDoctorRootless(t *testing.T) {
	config := "/var/lib/rootless/home/.config"
	t.Cleanup(func() { _ = os.RemoveAll(config) })
	if err := os.MkdirAll(filepath.Join(config, "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"runtimes": {"wasm": {"runtimeType": "` + engine.Runtime + `"}}}`)
	if err := os.WriteFile(filepath.Join(config, "docker/daemon.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRootless(t)
	for _, host := range []string{"DOCKER_HOST=", "CHOSEN="} { // the latter leaves it as it is
		cmd := r.command(harness.ShimBinary, "doctor")
		cmd.Env = append(cmd.Env, host)
		said := harness.Execute(t, cmd)
		finds(t, said, "ok", "Docker", "Engine ")
		finds(t, said, "ok", "images", "")
		finds(t, said, "ok", "runtime wasm", "")
	}
}

// doctor is the shim's own, run where the command line of docker is.
func doctor(t *testing.T, e *engine.Engine) *harness.Result {
	t.Helper()
	return e.Shell(t, t.TempDir(), harness.Shim()+" doctor")
}

// finds says that one of doctor's lines has this level, subject and text.
func finds(t *testing.T, r *harness.Result, level, subject, text string) {
	t.Helper()
	if !regexp.MustCompile(`(?m)^` + level + ` +` + regexp.QuoteMeta(subject) + ` +` + text).MatchString(r.Stdout) {
		t.Errorf("doctor does not say %s of %s, with %q:\n%s%s", level, subject, text, r.Stdout, r.Stderr)
	}
}
