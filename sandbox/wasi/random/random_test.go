// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package random

import (
	"bytes"
	"testing"
)

func TestFill(t *testing.T) {
	for _, size := range []int{0, 1, 256, 257, step + 3} {
		p := make([]byte, size)
		if errno := Fill(p); errno != 0 {
			t.Fatalf("%d bytes: %v", size, errno)
		}
		if size >= 256 && bytes.Equal(p[size-256:], make([]byte, 256)) {
			t.Errorf("%d bytes: the end was not filled", size)
		}
	}
}
