// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// TestBuild builds an image FROM scratch for each platform, with and without
// attestations, runs it, and again after it was saved and loaded.
func TestBuild(t *testing.T) {
	e := engine.Shared(t)
	files := helloFiles(t)
	for name, platform := range map[string]string{
		"wasi": "wasi/wasm", "wasip1": "wasip1/wasm", "linux": hostPlatform(),
	} {
		for kind, args := range attestations {
			t.Run(name+" "+kind, func(t *testing.T) {
				name := "built-" + name + "-" + kind
				e.Build(t, files, append([]string{"--platform", platform, "-t", name}, args...)...).Exits(0)
				hasAttestation(t, e, name, kind == "attested")
				says(t, e, name, platform)
				again(t, e, name)
				says(t, e, name, platform)
			})
		}
	}
}

// helloFiles are a Dockerfile FROM scratch and its module.
func helloFiles(t *testing.T) map[string]string {
	t.Helper()
	module, err := os.ReadFile(harness.Built(t, "guests", "hello-c.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"hello.wasm": string(module),
		"Dockerfile": "FROM scratch\nCOPY hello.wasm /\nENTRYPOINT [\"/hello.wasm\"]\n",
	}
}

// says runs an image of helloFiles for each platform; the host's own needs not
// be named.
func says(t *testing.T, e *engine.Engine, name string, platforms ...string) {
	t.Helper()
	run := func(options ...string) {
		t.Helper()
		e.Docker(t, append(append([]string{"run", "--rm", "--runtime", engine.Runtime}, options...), name)...).Is(0, "hello from C\n")
	}
	for _, platform := range platforms {
		run("--platform", platform)
		if platform == hostPlatform() {
			run()
		}
	}
}

func hostPlatform() string { return "linux/" + harness.Architecture() }

// TestOneImage builds the image that docs/kubernetes.md advises for Docker and
// every Kubernetes: the module for wasi/wasm and for the nodes' platforms.
func TestOneImage(t *testing.T) {
	e := engine.Shared(t)
	for kind, args := range attestations {
		t.Run(kind, func(t *testing.T) {
			name := "one-" + kind
			e.Build(t, helloFiles(t), append([]string{"--platform", "wasi/wasm,linux/amd64,linux/arm64", "-t", name}, args...)...).Exits(0)
			says(t, e, name, "wasi/wasm", hostPlatform())
			again(t, e, name)
			says(t, e, name, "wasi/wasm", hostPlatform())
		})
	}
}

// attestations are docker build's options for them.
var attestations = map[string][]string{
	"attested": {"--provenance=mode=max"},
	"plain":    {"--provenance=false"},
}

// hasAttestation looks for one in the image's index, by what is saved of it.
func hasAttestation(t *testing.T, e *engine.Engine, name string, want bool) {
	t.Helper()
	// grep answers 0 where it finds the annotation, and 1 where it does not.
	r := e.Shell(t, t.TempDir(), "docker save "+name+" | grep -aq attestation-manifest")
	if has := r.Status == 0; has != want || r.Status > 1 || r.Stderr != "" {
		t.Errorf("%s has an attestation: %v, want %v; %s", name, has, want, r.Stderr)
	}
}

// again saves an image, removes it, and loads it.
func again(t *testing.T, e *engine.Engine, name string) {
	t.Helper()
	e.Shell(t, t.TempDir(), "docker save -o i.tar "+name+" && docker rmi "+name+" && docker load -i i.tar").Exits(0)
}

// TestIndex has one image for Linux and for WASI, built by docker build or
// made by others: --platform chooses, and the host's own is what is run
// without it.
func TestIndex(t *testing.T) {
	e := engine.Shared(t)
	chosen := func(t *testing.T, name string) {
		t.Helper()
		run := func(args ...string) *harness.Result {
			return e.Docker(t, append([]string{"run", "--rm"}, args...)...)
		}
		run("--platform", hostPlatform(), name, "echo", "on Linux").Is(0, "on Linux\n")
		run("--runtime", engine.Runtime, "--platform", "wasi/wasm", name, "echo", "on WASI").Is(0, "on WASI\n")
		run(name, "echo", "on the host's").Is(0, "on the host's\n")
		run("--runtime", engine.Runtime, name).Exits(126).Complains("Linux program")
	}
	files := map[string]string{"Dockerfile": "FROM scratch\nARG TARGETOS\nCOPY box-$TARGETOS /box\nENTRYPOINT [\"/box\"]\n"}
	for name, program := range map[string]string{"box-linux": "box-linux", "box-wasi": "box.wasm"} {
		body, err := os.ReadFile(harness.Built(t, "guests", program))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(body)
	}
	for kind, args := range attestations {
		t.Run("built "+kind, func(t *testing.T) {
			name := "index-" + kind
			e.Build(t, files, append([]string{"--platform", hostPlatform() + ",wasi/wasm", "-t", name}, args...)...).Exits(0)
			chosen(t, name)
			again(t, e, name)
			chosen(t, name)
		})
	}
	t.Run("loaded", func(t *testing.T) {
		both := engine.LinuxBoxImage(t)
		both.Name, both.With = "docker.io/library/index-loaded:latest", []image.Image{engine.WasmBoxImage(t)}
		e.Load(t, both)
		chosen(t, "index-loaded")
	})
}
