// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package harness

import (
	"os"
	"testing"

	"containerd-shim-wazero/integration/image"
)

// BadImage has modules that cannot run, and what is no module at all.
func BadImage(t testing.TB) image.Image {
	t.Helper()
	good, err := os.ReadFile(Built(t, "guests", "box.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	corrupt := append([]byte(nil), good...)
	for i := len(corrupt) / 2; i < len(corrupt); i += 7 {
		corrupt[i] ^= 0xff
	}
	return image.Image{Name: "docker.io/library/bad:test", Files: []image.File{
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
	}}
}

// BadModules has, by its file in BadImage, the words that are said about each.
func BadModules() map[string][]string {
	return map[string][]string{
		"empty.wasm":     {"empty.wasm", "empty"},
		"text.wasm":      {"text.wasm", "not a WebAssembly"},
		"truncated.wasm": {"truncated.wasm"},
		"corrupt.wasm":   {"corrupt.wasm"},
		"component.wasm": {"component.wasm", "component"},
		"version.wasm":   {"version.wasm", "version"},
		"folder.wasm":    {"folder.wasm", "directory"},
		"dangling.wasm":  {"dangling.wasm", "no such file or directory"},
		"circle.wasm":    {"circle.wasm"},
		"missing.wasm":   {"missing.wasm", "no such file or directory"},
		"good.wasm#none": {"good.wasm", "none"},
	}
}
