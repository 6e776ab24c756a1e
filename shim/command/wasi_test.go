// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var write = flag.Bool("write", false, "write docs/wasi.md anew")

// The document is what the tables in the code say.
func TestDocument(t *testing.T) {
	const path = "../../docs/wasi.md"
	var want bytes.Buffer
	if err := wasiTable(&want, markdown); err != nil {
		t.Fatal(err)
	}
	if *write {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s differs from the tables: go test ./shim/command -args -write", path)
	}
}
