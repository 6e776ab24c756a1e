// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// images: whatever platform its configuration names, an image that was
// imported runs.
func images(t *testing.T, node *harness.Node) {
	box, err := image.Copy("box.wasm", harness.Built(t, "guests", "box.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	files := append(harness.BaseFiles(), box)
	p := newPod(t, node).run()
	for name, img := range map[string]image.Image{
		"wasi":  {OS: "wasi", Arch: "wasm"},
		"wasm":  {OS: "linux", Arch: "wasm"},
		"linux": {OS: "linux", Arch: harness.Architecture()},
	} {
		img.Name, img.Files = "docker.io/library/platform-"+name+":test", files
		node.ImportCRI(t, img)
		config := p.container(name, "/box.wasm", "echo", "hello from", name)
		config["image"] = object{"image": img.Name}
		id := p.startConfig(config)
		p.expectLog(id, "hello from "+name+"\n")
	}
}
