// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import "testing"

const parentRole = "SANDBOX_TEST_PARENT"

func parent() {}

func TestHello(t *testing.T) {
	b := newBox(t, "echo", "hello", "world")
	if status, out := b.run(); status != 0 || out != "hello world\n" {
		t.Errorf("status %d, stdout %q, stderr %q, log %s", status, out, b.stderr.all(t), b.log)
	}
}
