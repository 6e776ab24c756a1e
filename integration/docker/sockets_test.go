// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// gonet loads the image of the guest with sockets.
func gonet(t *testing.T, e *engine.Engine) string {
	t.Helper()
	return sockets{e, t, "wasm"}.image()
}

// wasm is docker run of the guest with sockets; options end where its name is.
func wasm(t *testing.T, e *engine.Engine, options string, args ...string) *harness.Result {
	t.Helper()
	return sockets{e, t, "wasm"}.run(options, args...)
}

// listens starts a guest that echoes on an address of its own.
func listens(t *testing.T, e *engine.Engine, name, options, address string) {
	t.Helper()
	sockets{e, t, "wasm"}.listens(name, options, address)
}

// sockets is the program with sockets on the shim ("wasm"), or on runc
// ("linux") as the oracle.
type sockets struct {
	*engine.Engine
	t    *testing.T
	kind string
}

// onBoth runs a test with either.
func onBoth(t *testing.T, test func(*testing.T, sockets)) {
	e := engine.Shared(t)
	for _, kind := range []string{"wasm", "linux"} {
		t.Run(kind, func(t *testing.T) {
			t.Cleanup(func() { e.Remove(t) })
			test(t, sockets{e, t, kind})
		})
	}
}

func (s sockets) image() string {
	s.t.Helper()
	file, name := "gonet.wasm", "gonet"
	img := image.Image{Config: v1.ImageConfig{Entrypoint: []string{"/gonet"}}}
	if s.kind == "linux" {
		file, name = "gonet-linux", "gonet-linux"
		img.OS, img.Arch = "linux", harness.Architecture()
	}
	program, err := image.Copy("gonet", harness.Built(s.t, "guests-net", file))
	if err != nil {
		s.t.Fatal(err)
	}
	img.Name, img.Files = "docker.io/library/"+name+":latest", append(harness.BaseFiles(), program)
	s.Load(s.t, img)
	return name
}

// run is docker run; options end where the image is.
func (s sockets) run(options string, args ...string) *harness.Result {
	s.t.Helper()
	all := []string{"run"}
	if s.kind == "wasm" {
		all = append(all, "--runtime", engine.Runtime, "--platform", "wasi/wasm")
	}
	all = append(append(all, strings.Fields(options)...), s.image())
	return s.Docker(s.t, append(all, args...)...)
}

// listens starts one that echoes on an address of its own, and waits for it.
func (s sockets) listens(name, options, address string) {
	s.t.Helper()
	s.run("-d --name "+name+" "+options, "tcp-echo", address).Exits(0)
	harness.Eventually(s.t, name+" listens", func() bool { return s.Ask(s.t, "logs", name) != "" })
}
