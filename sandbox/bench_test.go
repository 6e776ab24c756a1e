// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"testing"
)

// BenchmarkRun is a container from Create to Delete, its module cached.
func BenchmarkRun(b *testing.B) {
	box := newBox(b, "true")
	ctx := context.Background()
	for b.Loop() {
		c, p, err := Create(ctx, box.config, Stdio{}, Options{Cache: node.cache})
		must(b, err)
		must(b, p.Start(ctx))
		<-p.Done()
		must(b, c.Delete(ctx))
	}
}

// BenchmarkStart is the time from Start to the exit of a guest that does nothing.
func BenchmarkStart(b *testing.B) {
	box := newBox(b, "true")
	ctx := context.Background()
	for b.Loop() {
		b.StopTimer()
		c, p, err := Create(ctx, box.config, Stdio{}, Options{Cache: node.cache})
		must(b, err)
		b.StartTimer()
		must(b, p.Start(ctx))
		<-p.Done()
		b.StopTimer()
		must(b, c.Delete(ctx))
		b.StartTimer()
	}
}

// BenchmarkExec is a further process from Exec to its end.
func BenchmarkExec(b *testing.B) {
	box := newBox(b, "spin")
	box.config.Process.Args = []string{"/box.wasm", "sleep", "10000000"}
	box.start()
	ctx := context.Background()
	p := boxProcess("true")
	for b.Loop() {
		e, err := box.Exec(ctx, &p, Stdio{})
		must(b, err)
		must(b, e.Start(ctx))
		<-e.Done()
	}
}
