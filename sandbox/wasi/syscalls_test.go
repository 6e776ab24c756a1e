// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSyscalls finds the system calls in the sources and compares.
func TestSyscalls(t *testing.T) {
	pattern := regexp.MustCompile(`\bSYS_([A-Z0-9_]+)`)
	found := make(map[string]bool)
	for _, dir := range []string{"rawio", "stdio", "fs", "poll", "clock", "random", "preview1"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_arm64.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range pattern.FindAllStringSubmatch(string(source), -1) {
				name := strings.ToLower(m[1])
				found[name] = true
				if !slices.Contains(Syscalls, name) {
					t.Errorf("%s uses %s, which is not on the list", file, name)
				}
			}
		}
	}
	for _, name := range Syscalls {
		if !found[name] {
			t.Errorf("%s is on the list, but nothing uses it", name)
		}
	}
}
