// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// The promise that a node holds hundreds of these: what a process that has
// loaded a module and waits keeps for itself, in kB.
func TestIdleMemory(t *testing.T) {
	limits := map[string]int{"testdata/hello.wasm": 2500}
	for name, limit := range map[string]int{"hello-c": 2500, "hello-rust": 2500, "hello-go": 4000} {
		path := filepath.Join("../../build/guests", name+".wasm")
		if _, err := os.Stat(path); err == nil { // built for the tests as a whole
			limits[path] = limit
		}
	}
	for path, limit := range limits {
		bin, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w := waitLoaded(t, imageOf(t, bin))
		got := smaps(t, w.cmd, "Pss_Anon")
		w.end()
		if got > limit {
			t.Errorf("%s: %d kB of its own, want %d at most", path, got, limit)
		}
		t.Logf("%s: %d kB", path, got)
	}
}
