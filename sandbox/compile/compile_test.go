// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"context"
	"os"
	"testing"

	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/config"
)

// The test binary is the compile process as well.
func TestMain(m *testing.M) {
	if os.Getenv(config.RoleEnv) == config.RoleCompile {
		Main()
	}
	os.Exit(m.Run())
}

func TestCompileProcess(t *testing.T) {
	c, err := cache.Open(t.TempDir()+"/cache", cache.Options{Compile: Process})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	name := t.TempDir() + "/m.wasm"
	// (module (func (export "_start")))
	if err := os.WriteFile(name, []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00"+
		"\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cached := range []bool{false, true} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Ensure(context.Background(), f, name, 1<<20)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if e.Cached != cached {
			t.Errorf("cached is %v, want %v", e.Cached, cached)
		}
		e.Close()
	}
}
