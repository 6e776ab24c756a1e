// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"

	"containerd-shim-wazero/sandbox/engine/image"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

// behind is a custom section.
const behind = "\x00\x06\x04more!"

// importing is a module that imports functions, "module.name", and has a custom
// section behind them.
func importing(functions ...string) []byte {
	imports := []byte{byte(len(functions))}
	for _, f := range functions {
		from, name, _ := strings.Cut(f, ".")
		imports = append(append(imports, byte(len(from))), from...)
		imports = append(append(imports, byte(len(name))), name...)
		imports = append(imports, 0, 0) // a function of the first type
	}
	bin := []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00")
	bin = append(append(bin, 2, byte(len(imports)|0x80), byte(len(imports)>>7)), imports...)
	return append(bin, behind...)
}

// TestAccepts: the beginning of the file tells what the compiler will.
func TestAccepts(t *testing.T) {
	const p1 = preview1.ModuleName + "."
	for _, test := range []struct {
		functions []string
		want      bool
	}{
		{nil, false},
		{[]string{p1 + "fd_write"}, false},
		{[]string{p1 + "fd_write", p1 + "sock_accept"}, true},
		{[]string{p1 + "sock_open", p1 + "sock_accept"}, false}, // makes its own
		{[]string{p1 + "sock_accept", p1 + "sock_open_v2"}, false},
		{[]string{"env.sock_accept"}, false},
	} {
		bin := importing(test.functions...)
		h, _, err := image.Read(imageOf(t, bin))
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Has(image.Accepts); got != test.want {
			t.Errorf("%v: the image says %v, want %v", test.functions, got, test.want)
		}
		if got := Accepts(bin); got != test.want {
			t.Errorf("%v: the file says %v, want %v", test.functions, got, test.want)
		}
		if got := Accepts(bin[:len(bin)-3]); got != test.want {
			t.Errorf("%v: the beginning of the file says %v, want %v", test.functions, got, test.want)
		}
	}
	bin := importing(p1 + "sock_accept")
	for n := range len(bin) - len(behind) {
		if Accepts(bin[:n]) {
			t.Errorf("%d bytes do not hold the imports", n)
		}
	}
}
