// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"net/http/httptest"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// pulls has what CRI makes of an image from a registry, by its platform and by
// the version of containerd.
func pulls(t *testing.T, node *harness.Node) {
	for name, pulled := range map[string]func(*testing.T, *pod){
		"linux":                     plainManifest("linux", harness.Architecture()),
		"linux wasm":                plainManifest("linux", "wasm"),
		"wasi":                      wasiManifest,
		"wasi in an index":          wasiIndex,
		"module for both platforms": moduleForBoth,
		"program for the node":      programForNode,
		"artifacts":                 artifacts,
		"image volume":              imageVolume,
	} {
		t.Run(name, func(t *testing.T) { pulled(t, newPod(t, node).run()) })
	}
}

// TestLocalPulls has a setting of containerd mend the one pull that its transfer
// service leaves without a root file system.
func TestLocalPulls(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion, harness.WithCRI(), harness.WithLocalPulls())
	node.ImportCRI(t, harness.PauseImage())
	p := newPod(t, node).run()
	p.says(t, serve(t, module(t, image.Image{OS: "wasi", Arch: "wasm"})), "/box.wasm")
}

func plainManifest(os, architecture string) func(*testing.T, *pod) {
	return func(t *testing.T, p *pod) {
		p.says(t, serve(t, module(t, image.Image{OS: os, Arch: architecture})), "/box.wasm")
	}
}

// wasiManifest is pulled by every version, and not unpacked since 2.3.
func wasiManifest(t *testing.T, p *pod) {
	ref := serve(t, module(t, image.Image{OS: "wasi", Arch: "wasm"}))
	if p.node.Version < "2.3" {
		p.says(t, ref, "/box.wasm")
		return
	}
	p.node.Crictl(t, "pull", ref).Exits(0)
	p.refused(t, ref, "/box.wasm", "not found")
}

func wasiIndex(t *testing.T, p *pod) {
	ref := serve(t, module(t, image.Image{OS: "wasi", Arch: "wasm", Index: true}))
	p.node.Crictl(t, "pull", ref).Exits(1).Complains("no match for platform in manifest")
}

// moduleForBoth is the one image for Docker and every Kubernetes.
func moduleForBoth(t *testing.T, p *pod) {
	img := module(t, image.Image{OS: "wasi", Arch: "wasm"})
	img.With = []image.Image{module(t, image.Image{OS: "linux", Arch: harness.Architecture()})}
	p.says(t, serve(t, img), "/box.wasm")
}

// programForNode: of an index whose image for the node holds a program, that one
// is taken, and the module of the other is not there.
func programForNode(t *testing.T, p *pod) {
	img := module(t, image.Image{OS: "wasi", Arch: "wasm"})
	native := harness.BusyboxImage(t)
	native.Files = append(native.Files, image.Text("only", t.Name()))
	img.With = []image.Image{native}
	ref := serve(t, img)
	p.says(t, ref, "/bin/busybox")
	p.refusedAtStart(t, ref, "/box.wasm", "(of an image for several platforms Kubernetes takes the node's own")
}

// artifacts are run as far as CRI lets them through: as a plain manifest, by a
// container that names a command.
func artifacts(t *testing.T, p *pod) {
	for kind, artifact := range map[string]image.Artifact{
		"compat": {ConfigType: v1.MediaTypeImageConfig, LayerType: "application/vnd.wasm.content.layer.v1+wasm"},
		"wasm":   {ConfigType: "application/vnd.wasm.config.v0+json", LayerType: "application/wasm"},
	} {
		t.Run(kind, func(t *testing.T) {
			img := module(t, image.Image{OS: "wasi", Arch: "wasm", Artifact: &artifact})
			img.Files = img.Files[len(img.Files)-2 : len(img.Files)-1]
			ref := serve(t, img)
			p.says(t, ref, "/box.wasm")
		})
	}
}

// imageVolume mounts one image into a container of another.
func imageVolume(t *testing.T, p *pod) {
	if p.node.Version < "2.2" {
		t.Skip("image volumes came with containerd 2.2")
	}
	ref := serve(t, module(t, image.Image{OS: "linux", Arch: harness.Architecture()}))
	p.node.Crictl(t, "pull", ref).Exits(0)
	config := p.container("volume", "/box.wasm", "cat", "/volume/only")
	config["mounts"] = []object{{"container_path": "/volume", "image": object{"image": ref}, "readonly": true}}
	p.expectLog(p.startConfig(config), t.Name())
}

// module fills an image with the box and a layer of its own: one that another image
// has unpacked would do otherwise.
func module(t *testing.T, img image.Image) image.Image {
	t.Helper()
	box, err := image.Copy("box.wasm", harness.Built(t, "guests", "box.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	img.Files = append(harness.BaseFiles(), box, image.Text("only", t.Name()))
	return img
}

// of is a container of a pulled image that says something.
func (p *pod) of(t *testing.T, ref, program string) object {
	name := strings.NewReplacer("/", "-", " ", "-", ".", "-").Replace(t.Name() + program)
	config := p.container(name[max(0, len(name)-60):], program, "echo", "hello")
	config["image"] = object{"image": ref}
	return config
}

// says pulls and has the program run.
func (p *pod) says(t *testing.T, ref, program string) {
	t.Helper()
	p.node.Crictl(t, "pull", ref).Exits(0)
	p.expectLog(p.startConfig(p.of(t, ref, program)), "hello\n")
}

// refused has CRI make no container of the image.
func (p *pod) refused(t *testing.T, ref, program, text string) {
	t.Helper()
	p.node.Crictl(t, "create", p.ID, write(t, p.of(t, ref, program)), p.file).Exits(1).Complains(text)
}

// refusedAtStart has the shim say why not.
func (p *pod) refusedAtStart(t *testing.T, ref, program, text string) {
	t.Helper()
	p.node.Crictl(t, "start", p.create(p.of(t, ref, program))).Exits(1).Complains(text)
}

// serve is a registry on loopback from which the image can be pulled by the
// reference that is returned.
func serve(t *testing.T, img image.Image) (ref string) {
	t.Helper()
	img.Name = "pulled:test"
	registry, err := image.NewRegistry(img)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/" + img.Name
}
