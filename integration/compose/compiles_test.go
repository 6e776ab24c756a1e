// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// golang loads the image that the shown Dockerfiles compile in.
func golang(t *testing.T, e *engine.Engine) {
	t.Helper()
	img, err := GolangImage("docker.io/library/golang:1.26", e.ModuleProxy(t))
	if err != nil {
		t.Fatal(err)
	}
	e.Load(t, img)
}

// build runs docker build, which takes its time where it compiles.
func build(t *testing.T, e *engine.Engine, dir, options string) {
	t.Helper()
	out, err := e.ShellCommand(t, dir, "docker build "+options+" .").CombinedOutput()
	if err != nil {
		t.Fatalf("docker build %s: %v\n%s", options, err, out)
	}
}

// TestDockerfileCompiles builds the example's images with their own
// Dockerfile, whose first stage compiles, and runs what comes of it.
func TestDockerfileCompiles(t *testing.T) {
	e := engine.Shared(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	example := filepath.Join(root, "examples/compose")
	golang(t, e)
	for _, name := range []string{"api", "worker"} {
		tag := "compiled-" + name
		build(t, e, example, "--platform wasi/wasm --target "+name+" -t "+tag)
		if platform := e.Ask(t, "inspect", "-f", "{{.Os}}/{{.Architecture}}", tag); platform != "wasi/wasm" {
			t.Errorf("the image of %s is for %s", name, platform)
		}
		// Without its settings it says what it lacks: it runs.
		e.Docker(t, "run", "--rm", "--runtime", engine.Runtime, "--platform", "wasi/wasm", tag).Exits(1).
			Complains(name + ": read settings: open /etc/app/settings.json: ")
		e.Docker(t, "rmi", tag).Exits(0)
	}
}

// TestComposeBuilds brings the example up as its user does, by the builds that
// compose.yaml asks for.
func TestComposeBuilds(t *testing.T) {
	s := newStack(t)
	golang(t, s.Engine)
	s.files = "docker compose -f compose.yaml -f " + filepath.Join(s.dir, "../../integration/compose/servers.yaml") + " "
	defer s.Shell(t, s.dir, s.files+"down -v --timeout 5; docker rmi -f tasks-api tasks-worker")
	if out, err := s.ShellCommand(t, s.dir, s.files+"up --build --wait --wait-timeout 300").CombinedOutput(); err != nil {
		t.Fatalf("docker compose up --build: %v\n%s", err, out)
	}
	for _, name := range []string{"api", "worker"} {
		got := s.Ask(t, "inspect", "-f", "{{.Os}}/{{.Architecture}} {{.Config.Entrypoint}}", "tasks-"+name)
		if want := "wasi/wasm [/" + name + ".wasm]"; got != want {
			t.Errorf("the image of %s is %s, want %s", name, got, want)
		}
		if used := s.Ask(t, "inspect", "-f", "{{.Config.Image}}", s.ids(name)[0]); used != "tasks-"+name {
			t.Errorf("%s runs %s", name, used)
		}
	}
	if got := s.done(s.create("the quick brown fox").ID); got.Words != 4 {
		t.Errorf("the worker answers %+v", got)
	}
}

// TestShownDockerfiles builds and runs what docs/docker.md shows.
func TestShownDockerfiles(t *testing.T) {
	e := engine.Shared(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	golang(t, e)
	text, err := os.ReadFile(filepath.Join(root, "docs/docker.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```dockerfile\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(shown) < 2 {
		t.Fatalf("docs/docker.md shows %d Dockerfiles", len(shown))
	}
	dir := t.TempDir()
	files := map[string]string{"go.mod": "module hello\n\ngo 1.26\n"}
	for name, source := range map[string]string{
		"main.go":    filepath.Join(root, "integration/guests/go/hello/main.go"),
		"hello.wasm": harness.Built(t, "guests", "hello-go.wasm"),
	} {
		body, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(body)
	}
	for i, match := range shown {
		files["Dockerfile"] = match[1]
		for name, body := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		tag := fmt.Sprintf("shown-%d", i)
		build(t, e, dir, "--platform wasi/wasm -t "+tag)
		e.Docker(t, "run", "--rm", "--runtime", engine.Runtime, "--platform", "wasi/wasm", tag).Is(0, "hello from Go\n")
		e.Docker(t, "rmi", tag).Exits(0)
	}
}
