// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
)

// TestBadModules wants a sentence about each, and nothing left behind.
func TestBadModules(t *testing.T) {
	node := harness.Shared(t)
	img := harness.BadImage(t)
	node.Import(t, img)
	for file, words := range harness.BadModules() {
		t.Run(file, func(t *testing.T) {
			sentence(t, node.Container(t, img.Name, "/"+file).Refused(words...))
		})
	}
	t.Run("elf", func(t *testing.T) { sentence(t, node.Container(t, img.Name, "/elf").Refused("/elf")) })
	t.Run("unreadable", func(t *testing.T) {
		container := node.Container(t, img.Name, "/unreadable.wasm").User(1000, 1000)
		sentence(t, container.Refused("unreadable.wasm", "permission denied"))
	})
	t.Run("a name that no folder of the PATH has", func(t *testing.T) {
		sentence(t, node.Container(t, img.Name, "nothing.wasm").Refused("nothing.wasm", "executable file not found"))
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
