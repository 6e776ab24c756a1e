// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/image"
)

//go:generate testdata/generate.sh

func testModule(t testing.TB, name string) []byte {
	t.Helper()
	bin, err := os.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// A new version of wazero must be looked at before it is used: the cache's
// field, its key and the form of its entries are not part of its API.
func TestWazeroVersion(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information")
	}
	for _, d := range info.Deps {
		if d.Path == "github.com/tetratelabs/wazero" && d.Version != image.WazeroVersion {
			t.Errorf("built with wazero %s, made for %s", d.Version, image.WazeroVersion)
		}
	}
	if _, err := newCache(&capture{}); err != nil {
		t.Error(err)
	}
}

func TestRun(t *testing.T) {
	tests := []struct {
		module, export string
		status         int
		stdout         string
	}{
		{"hello", "", 42, "hello\n"},
		{"exit256", "", 0xff, ""},
		{"start", "", 10, ""},
		{"reactor", "run", 5, ""},
		{"reactor", "answer", 0, ""}, // a result is not an exit status
		{"reactor", "_initialize", 0, ""},
		{"noentry", "other", 0, ""},
		{"segments", "", 33, ""},
		{"proposals", "", 6, ""},
		{"grow", "", 100, ""},
	}
	for _, tt := range tests {
		t.Run(tt.module+"#"+tt.export, func(t *testing.T) {
			r := runGuest(t, testModule(t, tt.module), guestJob{
				Process: config.Process{Module: config.Module{Export: tt.export}},
			})
			if r.status != tt.status || r.stdout != tt.stdout || r.err != "" || r.log != "" {
				t.Errorf("%+v, want status %d and output %q", r, tt.status, tt.stdout)
			}
		})
	}
}

func TestTrap(t *testing.T) {
	tests := []struct {
		export string
		want   []string
	}{
		{"unreachable", []string{"wasm trap: unreachable\nwasm backtrace:\n    0: unreachable()\n"}},
		{"divide", []string{"wasm trap: integer divide by zero\n", "    0: inner(i32) i32\n    1: middle()\n    2: divide()\n"}},
		{"bounds", []string{"wasm trap: out of bounds memory access\n", "0: bounds()"}},
		{"mismatch", []string{"wasm trap: indirect call type mismatch\n"}},
		{"null", []string{"wasm trap: invalid table access\n"}},
		{"table", []string{"wasm trap: invalid table access\n"}},
		{"convert", []string{"wasm trap: invalid conversion to integer\n"}},
		{"overflow", []string{"wasm trap: stack overflow\n"}},
	}
	img := imageOf(t, testModule(t, "traps"))
	for _, tt := range tests {
		t.Run(tt.export, func(t *testing.T) {
			r := runImage(t, img, guestJob{Process: config.Process{Module: config.Module{Export: tt.export}}})
			if r.status != TrapStatus {
				t.Errorf("status %d, want %d", r.status, TrapStatus)
			}
			contains(t, "stderr", r.err, tt.want...)
			if strings.Contains(r.err, "goroutine") || strings.Contains(r.err, ".go:") {
				t.Errorf("a Go stack is shown: %s", r.err)
			}
			if r.log != "" || r.stdout != "" {
				t.Errorf("log %q, stdout %q", r.log, r.stdout)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		module, export string
		limit          uint64
		want           string
	}{
		{"noentry", "", 0, "has no entry point: it exports neither _start nor _initialize"},
		{"noentry", "missing", 0, `exports no function "missing"`},
		{"reactor", "", 0, "is a reactor"},
		{"reactor", "add", 0, "the function takes parameters"},
		{"imports", "", 0, "imports env.foo, env.bar, which this runtime does not provide"},
		{"importmemory", "", 0, "imports env.memory, which this runtime does not provide"},
		{"importtype", "", 0, "cannot be instantiated: "},
		{"outside", "", 0, "out of bounds memory access"},
		{"big", "", 50 << 20, "needs 100 MiB of memory to begin with and the container's limit leaves 50 MiB for it: raise the memory limit by at least 50 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.module+"#"+tt.export, func(t *testing.T) {
			r := runGuest(t, testModule(t, tt.module), guestJob{
				Process: config.Process{Module: config.Module{Export: tt.export}}, Limit: tt.limit,
			})
			if r.status != notLoaded {
				t.Errorf("status %d: loaded", r.status)
			}
			contains(t, "the error", r.err, tt.want)
		})
	}
}

// The start section is code of the guest: loading must not run it.
func TestLoadDoesNotRun(t *testing.T) {
	img := imageOf(t, testModule(t, "startloop"))
	g, err := Load(context.Background(), &config.Process{Args: []string{"x"}, Preopens: []config.Preopen{}}, img, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release(g)
	if len(g.calls) != 2 {
		t.Errorf("%d functions are to be called, want the start function and _start", len(g.calls))
	}
}

// A guest that recurses for ever traps with no more memory than its stack has.
func TestStack(t *testing.T) {
	img := imageOf(t, testModule(t, "traps"))
	p := &config.Process{Module: config.Module{Export: "overflow"}, Args: []string{"x"}, Preopens: []config.Preopen{}}
	g, err := Load(context.Background(), p, img, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release(g)
	stack, err := newStack()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(stack)
	if !useStack(g.module.ExportedFunction("overflow"), stack) {
		t.Error("this version of wazero keeps its stack elsewhere")
	}
	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	_, err = g.calls[0].Call(context.Background())
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	if err == nil || !strings.Contains(err.Error(), "stack overflow") {
		t.Errorf("error %v", err)
	}
	if grown := (after.Maxrss - before.Maxrss) << 10; grown > stackSize+4<<20 {
		t.Errorf("overflowing a stack of %d bytes took %d", stackSize, grown)
	}
}

func TestMemoryLimit(t *testing.T) {
	bin := testModule(t, "grow")
	// 1 page, then 16 at a time: three times within 50 pages.
	if r := runGuest(t, bin, guestJob{Limit: 50 << 16}); r.status != 3 || r.err != "" {
		t.Errorf("%+v, want status 3", r)
	}
	r := runGuest(t, bin, guestJob{Limit: 50 << 16, Process: config.Process{Module: config.Module{Export: "check"}}})
	if r.status != TrapStatus {
		t.Errorf("status %d", r.status)
	}
	contains(t, "stderr", r.err, "wasm trap: unreachable\n",
		"memory.grow to 4.062 MiB was refused before: the container's memory limit leaves 3.125 MiB for the module's memory\n")
}

func TestCompileRefuses(t *testing.T) {
	hello := testModule(t, "hello")
	tests := []struct {
		name string
		bin  []byte
		want string
	}{
		{"empty", nil, "is empty"},
		{"text", []byte("(module)"), "is text in the WebAssembly text format"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "components are not yet run"},
		{"elf", []byte("\x7fELF\x02\x01\x01\x00"), "is a Linux program"},
		{"script", []byte("#!/bin/sh\n"), "is a Linux program"},
		{"other", []byte("PK\x03\x04........"), "is not a WebAssembly binary"},
		{"version", []byte("\x00asm\x02\x00\x00\x00"), "version"},
		{"header", hello[:6], "is truncated"},
		{"truncated", hello[:len(hello)-70], "is not a valid module: "},
		{"threads", testModule(t, "threads"), "needs threads, which this runtime does not provide"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.CreateTemp(t.TempDir(), "image")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			err = Compile(context.Background(), tt.bin, f)
			var invalid *InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("error %v, want an InvalidError", err)
			}
			contains(t, "the error", err.Error(), tt.want)
		})
	}
}

// catching throws an exception and catches it, which wat2wasm cannot yet
// assemble:
//
//	(module (tag $t) (func (export "_start")
//	  (block (try_table (catch_all 0) (throw $t)) unreachable)))
const catching = "\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x0d\x03\x01\x00\x00" +
	"\x07\x0a\x01\x06_start\x00\x00" +
	"\x0a\x10\x01\x0e\x00\x02\x40\x1f\x40\x01\x02\x00\x08\x00\x0b\x00\x0b\x0b"

func TestExceptions(t *testing.T) {
	if r := runGuest(t, []byte(catching), guestJob{}); r.status != 0 || r.err != "" {
		t.Errorf("%+v", r)
	}
	for bin, want := range map[string]bool{
		catching:                         true,
		string(testModule(t, "traps")):   false,
		string(testModule(t, "source")):  false, // it has a source map
		string(testModule(t, "noentry")): false,
		"\x00asm\x01\x00\x00\x00":        false,
	} {
		h, _, err := image.Read(imageOf(t, []byte(bin)))
		if err != nil || h.Has(image.Catches) != want {
			t.Errorf("a module of %d bytes: catches is %v, want %v (%v)", len(bin), !want, want, err)
		}
	}
}
