// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// fails checks that Create fails with these words in one sentence, and leaves
// nothing behind.
func (b *box) fails(words string) error {
	b.t.Helper()
	before, running := descriptors(b.t), children(b.t)
	err := b.tryCreate(nil)
	if err == nil {
		b.t.Fatalf("create succeeded, want an error with %q", words)
	}
	if !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
		b.t.Errorf("error %q, want one with %q", err, words)
	}
	b.nothingLeft()
	// The first use of cgroups opens one for good.
	eventually(b.t, "no descriptor is left", func() bool { return descriptors(b.t) <= before+1 })
	if n := children(b.t); n != running {
		b.t.Errorf("%d children are left", n-running)
	}
	return err
}

// descriptors is how many this process has.
func descriptors(t testing.TB) int {
	d, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(d)
}

// children is how many processes this one has not reaped.
func children(t testing.TB) (n int) {
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	must(t, err)
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		n += len(strings.Fields(string(b)))
	}
	return n
}

func TestModuleErrors(t *testing.T) {
	for _, tc := range []struct {
		name  string
		path  string
		words string
		kind  func(error) bool
	}{
		{"missing", "/missing.wasm", `"/missing.wasm": no such file or directory`, errdefs.IsNotFound},
		{"not in PATH", "missing", `"missing": executable file not found in $PATH`, errdefs.IsNotFound},
		{"below a file", "/box.wasm/x", `no such file or directory`, errdefs.IsNotFound},
		{"a directory", "/tmp", `is a directory`, errdefs.IsPermissionDenied},
		{"a fifo", "/fifo", `not a regular file`, errdefs.IsInvalidArgument},
		{"no permission", "/secret.wasm", `permission denied`, errdefs.IsPermissionDenied},
		{"an ELF program", "/sh", `is a Linux program, this runtime runs WebAssembly modules: permission denied`, errdefs.IsPermissionDenied},
		{"a script", "/script", `is a Linux program`, errdefs.IsPermissionDenied},
		{"empty", "/empty.wasm", `empty.wasm`, errdefs.IsInvalidArgument},
		{"text", "/text.wasm", `text.wasm`, errdefs.IsInvalidArgument},
		{"truncated", "/half.wasm", `half.wasm`, errdefs.IsInvalidArgument},
		{"too large", "/large.wasm", `large.wasm`, errdefs.IsInvalidArgument},
		{"a loop of links", "/loop", `too many levels`, errdefs.IsInvalidArgument},
		{"unknown import", "/unknown.wasm", `imports`, errdefs.IsInvalidArgument},
		{"no entry point", "/noentry.wasm", `no entry point`, errdefs.IsInvalidArgument},
		{"no export", "/box.wasm#nothing", `exports no function "nothing"`, errdefs.IsInvalidArgument},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t, "true")
			root := b.config.Root.Path
			must(t, unix.Mkfifo(root+"/fifo", 0o666))
			write := func(name string, data []byte, mode os.FileMode) {
				must(t, os.WriteFile(root+name, data, mode))
			}
			write("/secret.wasm", guest(t, "box"), 0o600)
			write("/sh", []byte("\x7fELF and so on"), 0o755)
			write("/script", []byte("#!/bin/sh\n"), 0o755)
			write("/empty.wasm", nil, 0o755)
			write("/text.wasm", []byte("hello"), 0o755)
			write("/half.wasm", guest(t, "box")[:1000], 0o755)
			write("/unknown.wasm", guest(t, "unknown-import"), 0o755)
			write("/noentry.wasm", guest(t, "noentry"), 0o755)
			write("/large.wasm", nil, 0o755)
			must(t, os.Truncate(root+"/large.wasm", 300<<20))
			must(t, os.Symlink("loop", root+"/loop"))
			path, export, _ := strings.Cut(tc.path, "#")
			b.config.Process.Module.Path, b.config.Process.Module.Export = path, export
			b.config.Process.Module.SearchPath = []string{"/bin", "/usr/bin"}
			b.config.Process.User = config.User{UID: 1000, GID: 1000}
			if err := b.fails(tc.words); err != nil && !tc.kind(err) {
				t.Errorf("error %v is of the wrong kind: %T", err, err)
			}
		})
	}
}

func TestSearchPath(t *testing.T) {
	b := newBox(t, "echo", "found")
	must(t, os.MkdirAll(b.config.Root.Path+"/usr/bin", 0o755))
	must(t, os.Rename(b.config.Root.Path+"/box.wasm", b.config.Root.Path+"/usr/bin/box"))
	b.config.Process.Module.Path = "box"
	b.config.Process.Module.SearchPath = []string{"/bin", "/usr/bin"}
	if status, out := b.run(); status != 0 || out != "found\n" {
		t.Errorf("status %d, %q", status, out)
	}
}

func TestWorkingDirectory(t *testing.T) {
	b := newBox(t, "ls")
	b.config.Process.Cwd = "/box.wasm"
	b.fails("is no directory")
	b = newBox(t, "ls")
	must(t, os.Mkdir(b.config.Root.Path+"/closed", 0o700))
	b.config.Process.Cwd = "/closed"
	b.config.Process.User = config.User{UID: 1000, GID: 1000}
	b.fails("permission denied")
}

func TestBadRoot(t *testing.T) {
	b := newBox(t, "ls")
	b.config.Root.Path = "/nonexistent-root"
	b.fails("root file system /nonexistent-root: no such file or directory")
	b = newBox(t, "ls")
	b.config.Root.Path = "/etc/passwd"
	b.fails("no directory")
}

func TestMemoryTooSmall(t *testing.T) {
	b := newBox(t, "true")
	limit := int64(4 << 20)
	b.config.Cgroup.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	b.fails("a memory limit of 4096 KiB is too little")
	// The guest itself wants more than there is.
	b = newBox(t, "true")
	limit = 16 << 20
	must(t, os.WriteFile(b.config.Root.Path+"/box.wasm", guest(t, "bigmemory"), 0o755))
	b.config.Cgroup.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	b.fails("memory")
}

func TestExecErrors(t *testing.T) {
	b := newBox(t, "spin").start()
	must(t, os.WriteFile(b.config.Root.Path+"/sh", []byte("\x7fELF"), 0o755))
	before := descriptors(t)
	for path, words := range map[string]string{"/sh": "is a Linux program", "/none": "no such file or directory"} {
		p := boxProcess()
		p.Module.Path = path
		if _, _, err := b.exec(p); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", path, err)
		}
	}
	p := boxProcess("true")
	p.Cwd = "/nowhere"
	if _, _, err := b.exec(p); err == nil || !strings.Contains(err.Error(), "working directory") {
		t.Errorf("cwd: %v", err)
	}
	eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
	if n := children(t); n != 1 {
		t.Errorf("%d children, want init alone", n)
	}
	pids, err := b.Pids(testContext(t))
	if err != nil || len(pids) != 1 {
		t.Errorf("processes %v, %v", pids, err)
	}
}

// TestCancelled: a Create that is given up leaves nothing.
func TestCancelled(t *testing.T) {
	b := newBox(t, "true")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Create(ctx, b.config, Stdio{}, Options{Cache: node.cache}); err == nil {
		t.Fatal("it succeeded")
	}
	b.nothingLeft()
	if n := children(t); n != 0 {
		t.Errorf("%d children are left", n)
	}
}
