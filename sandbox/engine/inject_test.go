// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"os"
	"runtime/debug"
	"testing"

	"containerd-shim-wazero/sandbox/engine/image"
)

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

// compileFile returns the image of a module.
func compileFile(t testing.TB, bin []byte) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := Compile(context.Background(), bin, f); err != nil {
		t.Fatal(err)
	}
	return f
}
