// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"testing"
	"time"
)

func TestNow(t *testing.T) {
	if d := time.Since(time.Unix(0, Now(Realtime))); d < 0 || d > time.Second {
		t.Errorf("wall time is %v off", d)
	}
	// Go's reading and the kernel's are one clock.
	a := kernel(Monotonic)
	b := Now(Monotonic)
	c := kernel(Monotonic)
	if slack := int64(time.Millisecond); b < a-slack || b > c+slack {
		t.Errorf("monotonic: %d is not between %d and %d", b, a, c)
	}
	for range 1000 {
		next := Now(Monotonic)
		if next < b {
			t.Fatalf("it went back from %d to %d", b, next)
		}
		b = next
	}
	if Now(ProcessCPU) <= 0 || Now(ThreadCPU) <= 0 {
		t.Error("no processor time")
	}
}

func TestResolution(t *testing.T) {
	for _, id := range []ID{Realtime, Monotonic, ProcessCPU, ThreadCPU} {
		if r := Resolution(id); r < 1 || r > int64(10*time.Millisecond) {
			t.Errorf("clock %d: %d ns", id, r)
		}
	}
}
