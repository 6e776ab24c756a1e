// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/image"
	"containerd-shim-wazero/sandbox/engine/module"
)

// addModules seeds a fuzz target with the modules of the tests.
func addModules(f *testing.F) {
	names, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(names) == 0 {
		f.Fatal("no modules", err)
	}
	for _, name := range names {
		bin, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bin)
	}
}

// Whatever a file holds, it is either refused with a sentence or becomes an
// image that loads, or is refused in turn.
func FuzzModule(f *testing.F) {
	addModules(f)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that all is compiled on this goroutine
	f.Fuzz(func(t *testing.T, bin []byte) {
		if len(bin) > 1<<16 || hugeCounts(bin) {
			t.Skip()
		}
		out, err := os.CreateTemp(t.TempDir(), "image")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		err = Compile(context.Background(), bin, out)
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			if strings.Contains(err.Error(), "goroutine") {
				t.Errorf("a Go stack in %q", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		p := &config.Process{Args: []string{"guest"}, Preopens: []config.Preopen{}}
		module.Functions(exportsOf(t, out), func(fn module.Function) bool {
			p.Module.Export = fn.Name
			g, err := Load(context.Background(), p, out, func() uint64 { return 16 << 20 })
			if err == nil {
				release(g)
			} else if errors.Is(err, image.ErrDamaged) {
				t.Errorf("the image of a valid module: %v", err)
			}
			return false
		})
	})
}

// hugeCounts avoids what only a compile process may run into: wazero allocates
// by the lengths of vectors before it looks whether they are there. Numbers of
// four bytes and more are left out.
func hugeCounts(bin []byte) bool {
	run := 0
	for _, b := range bin {
		if run++; b < 0x80 {
			run = 0
		}
		if run == 3 {
			return true
		}
	}
	return false
}

func exportsOf(t *testing.T, img *os.File) []byte {
	m, err := mapImage(int(img.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), m.part(image.Exports)...)
}

// Loading believes an image's contents, which the compile process made, but not
// its form: nothing outside of the file is read.
func FuzzImage(f *testing.F) {
	for _, name := range []string{"hello", "segments", "traps"} {
		b, err := os.ReadFile(imageOf(f, testModule(f, name)).Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:image.HeaderSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, size := range []int64{int64(len(b)), 1 << 17, 1 << 40} {
			h, err := image.Decode(b, size)
			if err != nil {
				continue
			}
			for p := image.Skeleton; p <= image.Memory; p++ {
				if off, n := h.Span(p); off < image.HeaderSize || n < 0 || off+n > size || off+n < off {
					t.Fatalf("part %d lies at %d, %d bytes, in a file of %d", p, off, n, size)
				}
			}
			_, _ = image.DecodeRuns(h, b)
		}
	})
}
