// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func write(t *testing.T, root, name, text string) string {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestIsProgram(t *testing.T) {
	root, volume, outside := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, root, "bin/elf", "\x7fELF\x02\x01")
	write(t, root, "bin/script", "#!/bin/sh\n")
	write(t, root, "app/module.wasm", "\x00asm\x01\x00\x00\x00")
	write(t, root, "app/text", "x")
	write(t, root, "app/empty", "")
	write(t, root, "app/covered", "\x00asm\x01\x00\x00\x00")
	write(t, volume, "run", "#!/bin/sh\n")
	write(t, volume, "deep/module.wasm", "\x00asm\x01\x00\x00\x00")
	elf := write(t, outside, "elf", "\x7fELF")
	for link, target := range map[string]string{
		"sbin": "/bin", "app/out": elf, "app/up": "../../../../../../../.." + elf, "bin/loop": "loop",
		"opt": "scripts", "app/inside": "../opt/deep/../run", "app/dots": "/scripts/../bin/elf",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/bin/elf", filepath.Join(volume, "back")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(root, "app/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	mounts := []specs.Mount{
		{Destination: "/scripts", Source: volume, Options: []string{"rbind", "ro"}},
		{Destination: "/app/covered", Source: elf, Options: []string{"bind"}},
		{Destination: "/scripts/deep", Source: root + "/app", Options: []string{"bind"}},
		{Destination: "/bin", Type: "tmpfs", Source: "tmpfs"},
	}
	for _, test := range []struct {
		name string
		want bool
	}{
		{"/bin/elf", true},
		{"/sbin/elf", true}, // by a link to an absolute path, which is the root's own
		{"/bin/../bin/elf", true},
		{"elf", true}, // by PATH
		{"script", true},
		{"./text", false}, // by the working directory
		{"module.wasm", false},
		{"/app/module.wasm", false},
		{"/app/text", false},
		{"/app/empty", false},
		{"/app/fifo", false},
		{"/app", false},
		{"/app/out", false}, // nothing outside of the root is looked at
		{"/app/up", false},
		{"/bin/loop", false},
		{"/absent", false},
		{"absent", false},
		{"", false},
		{"/scripts/run", true},               // in a volume
		{"/scripts/deep/module.wasm", false}, // in a mount below another
		{"/scriptsrun", false},
		{"/opt/run", true}, // by a link into a volume
		{"/opt/deep/module.wasm", false},
		{"inside", true}, // out of one mount into another
		{"/app/dots", true},
		{"/scripts/back", true}, // by a link of the volume into the root
		{"/app/covered", true},  // by a mounted file
	} {
		spec := &specs.Spec{Mounts: mounts, Process: &specs.Process{
			Args: []string{test.name}, Cwd: "/app", Env: []string{"PATH=/absent:/bin:relative"},
		}}
		if got := IsProgram(spec, root); got != test.want {
			t.Errorf("IsProgram(%q) = %v, want %v", test.name, got, test.want)
		}
	}
	spec := &specs.Spec{Mounts: mounts, Process: &specs.Process{Args: []string{"/sbin/docker-init"}, Cwd: "/app"}}
	for name, want := range map[string]string{"module.wasm": "\x00asm\x01", "/app/text": "x", "/app/fifo": "", "absent": "", "": ""} {
		if got := string(Head(spec, root, name, 5)); got != want {
			t.Errorf("Head(%q) = %q, want %q", name, got, want)
		}
	}
	if IsProgram(&specs.Spec{}, root) {
		t.Error("a bundle without a process has a program")
	}
}
