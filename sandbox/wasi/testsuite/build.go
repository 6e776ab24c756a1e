// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package testsuite

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compilers turn a source file into a module for WASI 0.1. The Rust compiler is
// the distribution's, which comes with a target for it.
var compilers = map[string][]string{
	".c":  {"clang", "--target=wasm32-wasi", "--sysroot=/usr", "-O1", "-Wall", "-Werror"},
	".rs": {"/usr/bin/rustc", "--edition=2021", "-O", "--target=wasm32-wasi"},
}

// Build compiles the tests of a folder of sources, each with its specification
// beside it, into a folder that Run takes. Without a compiler the test is
// skipped, but fails in CI.
func Build(t *testing.T, sources string) string {
	t.Helper()
	out := t.TempDir()
	if err := os.CopyFS(out, os.DirFS(sources)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if compiler := compilers[filepath.Ext(path)]; err == nil && compiler != nil {
			compile(t, compiler, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compile(t *testing.T, compiler []string, source string) {
	t.Helper()
	if _, err := exec.LookPath(compiler[0]); err != nil {
		message := "NOT RUN: " + compiler[0] + " is not installed; hack/packages.sh installs it"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	module := strings.TrimSuffix(source, filepath.Ext(source)) + ".wasm"
	args := append(append([]string{}, compiler[1:]...), "-o", module, source)
	if output, err := exec.Command(compiler[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("compiling %s: %v\n%s", source, err, output)
	}
}
