// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

const badImage = "docker.io/library/bad:test"

// badFiles are modules that cannot run, and what is no module at all.
func badFiles(t *testing.T) []image.File {
	t.Helper()
	good, err := os.ReadFile(harness.Built(t, "guests", "box.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	corrupt := append([]byte(nil), good...)
	for i := len(corrupt) / 2; i < len(corrupt); i += 7 {
		corrupt[i] ^= 0xff
	}
	return []image.File{
		{Path: "empty.wasm"},
		image.Text("text.wasm", "this is no module\n"),
		{Path: "truncated.wasm", Body: good[:len(good)/2]},
		{Path: "corrupt.wasm", Body: corrupt},
		{Path: "component.wasm", Body: []byte("\x00asm\x0d\x00\x01\x00")},
		{Path: "version.wasm", Body: []byte("\x00asm\x07\x00\x00\x00")},
		{Path: "unreadable.wasm", Body: good, Mode: 0o200},
		{Path: "elf", Body: []byte("\x7fELF\x02\x01\x01"), Mode: 0o755},
		image.Dir("folder.wasm", 0o755),
		image.Link("dangling.wasm", "/nowhere"),
		image.Link("circle.wasm", "circle.wasm"),
		{Path: "good.wasm", Body: good},
	}
}

// TestBadModules wants a sentence about each, and nothing left behind.
func TestBadModules(t *testing.T) {
	node := harness.Shared(t)
	node.Import(t, image.Image{Name: badImage, Files: badFiles(t)})
	for file, words := range map[string][]string{
		"empty.wasm":     {"empty.wasm", "empty"},
		"text.wasm":      {"text.wasm", "not a WebAssembly"},
		"truncated.wasm": {"truncated.wasm"},
		"corrupt.wasm":   {"corrupt.wasm"},
		"component.wasm": {"component.wasm", "component"},
		"version.wasm":   {"version.wasm", "version"},
		"elf":            {"/elf"},
		"folder.wasm":    {"folder.wasm", "directory"},
		"dangling.wasm":  {"dangling.wasm", "no such file or directory"},
		"circle.wasm":    {"circle.wasm"},
		"missing.wasm":   {"missing.wasm", "no such file or directory"},
		"good.wasm#none": {"good.wasm", "none"},
	} {
		t.Run(file, func(t *testing.T) {
			sentence(t, node.Container(t, badImage, "/"+file).Refused(words...))
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		container := node.Container(t, badImage, "/unreadable.wasm").User(1000, 1000)
		sentence(t, container.Refused("unreadable.wasm", "permission denied"))
	})
	t.Run("a name that no folder of the PATH has", func(t *testing.T) {
		sentence(t, node.Container(t, badImage, "nothing.wasm").Refused("nothing.wasm", "executable file not found"))
	})
	t.Run("guests", func(t *testing.T) {
		sentence(t, node.Guest(t, "unknown-import").Refused("launch_missiles", "fd_teleport"))
		sentence(t, node.Guest(t, "noentry").Refused("noentry.wasm", "_start"))
		sentence(t, node.Guest(t, "reactor").Refused("reactor.wasm", "#"))
		sentence(t, node.Guest(t, "bigmemory").Memory(64<<20).Refused("memory"))
	})
}

// TestBadBundles is the same for what the bundle says.
func TestBadBundles(t *testing.T) {
	node := harness.Shared(t)
	for name, bad := range map[string]struct {
		change func(*specs.Spec)
		words  []string
	}{
		"no arguments":  {func(s *specs.Spec) { s.Process.Args = nil }, []string{"args"}},
		"no process":    {func(s *specs.Spec) { s.Process = nil }, []string{"process"}},
		"cwd is a file": {func(s *specs.Spec) { s.Process.Cwd = "/hello-c.wasm" }, []string{"/hello-c.wasm", "no directory"}},
		"relative cwd":  {func(s *specs.Spec) { s.Process.Cwd = "there" }, []string{"cwd", "there"}},
		"mount without a source": {func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: "/no/such/source", Destination: "/x", Options: []string{"bind"}})
		}, []string{"/no/such/source"}},
		"mount of an unknown type": {func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Type: "magicfs", Source: "magic", Destination: "/x"})
		}, []string{"/x"}},
		"unknown annotation": {func(s *specs.Spec) {
			s.Annotations = map[string]string{harness.Runtime + "/prepoens": "/data"}
		}, []string{"prepoens"}},
		"malformed annotation": {func(s *specs.Spec) {
			s.Annotations = map[string]string{harness.Runtime + "/listen": "carrier-pigeon:80"}
		}, []string{"carrier-pigeon"}},
		"namespace path that does not exist": {func(s *specs.Spec) { networkAt(s, "/no/such/namespace") }, []string{"/no/such/namespace"}},
		"namespace of another kind":          {func(s *specs.Spec) { networkAt(s, "/proc/self/ns/uts") }, []string{"/proc/self/ns/uts", "network"}},
		"namespace that is a file":           {func(s *specs.Spec) { networkAt(s, "/etc/hostname") }, []string{"/etc/hostname"}},
		"unknown rlimit": {func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_PATIENCE", Hard: 1, Soft: 1}}
		}, []string{"RLIMIT_PATIENCE"}},
		"memory limit of nothing": {func(s *specs.Spec) {
			limit := int64(4096)
			s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
		}, []string{"memory"}},
		"a long argument list": {func(s *specs.Spec) {
			s.Process.Args = append(s.Process.Args, strings.Repeat("x", 3<<20))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sentence(t, node.Guest(t, "hello-c").Spec(bad.change).Refused(bad.words...))
		})
	}
	// What is no JSON at all the client refuses itself.
	t.Run("a version that no one has", func(t *testing.T) {
		seven := []byte(`{"ociVersion": "seven", "process": {}}`)
		sentence(t, node.Guest(t, "hello-c").Raw(seven).Refused("config.json", "seven"))
	})
	t.Run("an empty spec", func(t *testing.T) {
		sentence(t, node.Guest(t, "hello-c").Raw([]byte("{}")).Refused("no process"))
	})
}

// TestGoesOnAsRunc has what runc does not refuse either.
func TestGoesOnAsRunc(t *testing.T) {
	node := harness.Shared(t)
	for name, change := range map[string]func(*specs.Spec){
		"a missing cwd is made": func(s *specs.Spec) { s.Process.Cwd = "/not/yet" },
		"a relative mount point is taken from the root": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "not/yet"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			node.Linux(t, "ls", "/not").Spec(change).Run().Is(0, "yet\n")
			node.Guest(t, "box", "ls", "/not").Spec(change).Run().Is(0, "yet\n")
		})
	}
}

func networkAt(s *specs.Spec, path string) {
	for i := range s.Linux.Namespaces {
		if s.Linux.Namespaces[i].Type == specs.NetworkNamespace {
			s.Linux.Namespaces[i].Path = path
		}
	}
}

// sentence fails the test unless an error is something to show a person.
func sentence(t *testing.T, text string) {
	t.Helper()
	t.Log(text)
	for _, ugly := range []string{"goroutine", "panic", ".go:", "\n", "0x", "%!", "<nil>"} {
		if strings.Contains(text, ugly) {
			t.Errorf("%q has %q in it", text, ugly)
		}
	}
	if len(text) > 600 {
		t.Errorf("%d bytes are no sentence: %q", len(text), text)
	}
}
