// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"os"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

const (
	// Box is integration/guests' box with an entry point, built for WASI.
	Box = "box"
	// LinuxBox is the same program built for Linux.
	LinuxBox = "box-linux"
	// Guests has every guest at its root and no entry point.
	Guests = "guests"
	// Busybox is Debian's busybox.
	Busybox = "busybox"
)

// Load hands an image to the engine, by docker load.
func (e *Engine) Load(t testing.TB, img image.Image) {
	t.Helper()
	e.mu.Lock()
	known := e.images[img.Name]
	e.images[img.Name] = true
	e.mu.Unlock()
	if known {
		return
	}
	var archive bytes.Buffer
	if err := img.Write(&archive); err != nil {
		t.Fatal(err)
	}
	cmd := e.command(t, "docker", "load")
	cmd.Stdin = &archive
	harness.Execute(t, cmd).Exits(0)
}

// LoadAll loads the four images of this package.
func (e *Engine) LoadAll(t testing.TB) {
	t.Helper()
	for _, img := range []func(testing.TB) image.Image{WasmBoxImage, LinuxBoxImage, GuestsImage, BusyboxImage} {
		e.Load(t, img(t))
	}
}

// boxImage is box at /box in an otherwise equal image.
func boxImage(t testing.TB, name, program string) image.Image {
	t.Helper()
	box, err := image.Copy("box", harness.Built(t, "guests", program))
	if err != nil {
		t.Fatal(err)
	}
	return image.Image{
		Name: "docker.io/library/" + name + ":latest",
		Files: append(harness.BaseFiles(), box,
			image.Dir("work", 0o777), image.Text("work/here", "a relative path\n"), image.Text("etc/there", "an absolute path\n")),
		Config: v1.ImageConfig{Entrypoint: []string{"/box"}, Cmd: []string{"echo", "hello"},
			Env: []string{"PATH=/bin", "FROM_IMAGE=yes"}},
	}
}

// WasmBoxImage is Box.
func WasmBoxImage(t testing.TB) image.Image { return boxImage(t, Box, "box.wasm") }

// LinuxBoxImage is LinuxBox.
func LinuxBoxImage(t testing.TB) image.Image {
	img := boxImage(t, LinuxBox, "box-linux")
	img.OS, img.Arch = "linux", harness.Architecture()
	return img
}

// GuestsImage is Guests.
func GuestsImage(t testing.TB) image.Image {
	img := harness.GuestsImage(t)
	img.Name = "docker.io/library/" + Guests + ":latest"
	return img
}

// BusyboxImage is Busybox.
func BusyboxImage(t testing.TB) image.Image {
	img := harness.BusyboxImage(t)
	img.Name = "docker.io/library/" + Busybox + ":latest"
	return img
}

// Build builds a folder of files by docker build; arguments go before the
// folder. Nothing can be pulled: FROM names scratch or a loaded image.
func (e *Engine) Build(t testing.TB, files map[string]string, args ...string) *harness.Result {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return e.Docker(t, append(append([]string{"build"}, args...), dir)...)
}
