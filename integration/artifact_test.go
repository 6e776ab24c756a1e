// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// Media types of an artifact's configuration and module.
const (
	wasmConfig = "application/vnd.wasm.config.v0+json"
	wasmLayer  = "application/vnd.wasm.content.layer.v1+wasm"
)

// artifact is an image that is nothing but modules.
func artifact(t *testing.T, name, config, layer string, guests ...string) image.Image {
	t.Helper()
	img := image.Image{
		Name:     "docker.io/library/" + name + ":test",
		Artifact: &image.Artifact{ConfigType: config, LayerType: layer},
	}
	for _, guest := range guests {
		body, err := os.ReadFile(harness.Built(t, "guests", guest+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		img.Files = append(img.Files, image.File{Path: guest + ".wasm", Body: body})
	}
	return img
}

// A module runs that is a layer of its image, whatever its media types: its
// arguments come from the bundle, and the root is empty.
func TestArtifacts(t *testing.T) {
	for _, version := range harness.Versions() {
		t.Run(version, func(t *testing.T) {
			node := harness.New(t, version)
			for name, types := range map[string][2]string{
				"wasm":      {wasmConfig, "application/wasm"},
				"content":   {wasmConfig, wasmLayer},
				"oci":       {"application/vnd.oci.image.config.v1+json", wasmLayer},
				"component": {wasmConfig, "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"},
			} {
				for _, index := range []bool{false, true} {
					img := artifact(t, name, types[0], types[1], "box")
					img.Index = index
					node.Import(t, img)
					node.Artifact(t, img.Name, "box.wasm", "args", "a b").Run().
						Is(0, "0 \"box.wasm\"\n1 \"args\"\n2 \"a b\"\n")
				}
			}
		})
	}
}

// What an artifact's container does is what any does.
func TestArtifactExec(t *testing.T) {
	node := harness.Shared(t)
	img := artifact(t, "execs", wasmConfig, wasmLayer, "box")
	node.Import(t, img)
	task := node.Artifact(t, img.Name, "/box.wasm", "wait").Interactive().Start()
	task.ExecArgs("/box.wasm", "echo", "hi").Run().Is(0, "hi\n")
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
}

// An artifact that is not what it should be has a sentence.
func TestBadArtifacts(t *testing.T) {
	node := harness.Shared(t)
	several := artifact(t, "several", wasmConfig, wasmLayer, "box", "hello-c")
	node.Import(t, several)
	sentence(t, node.Artifact(t, several.Name, "/box.wasm").Refused("several modules"))

	text := artifact(t, "text", wasmConfig, wasmLayer)
	text.Files = []image.File{image.Text("text.wasm", "this is no module\n")}
	node.Import(t, text)
	sentence(t, node.Artifact(t, text.Name, "/text.wasm").Refused("not a WebAssembly"))

	foreign := artifact(t, "foreign", "application/vnd.example+json", "application/vnd.example.layer", "hello-c")
	node.Import(t, foreign)
	sentence(t, node.Artifact(t, foreign.Name, "/hello-c.wasm").Refused("hello-c.wasm"))
}
