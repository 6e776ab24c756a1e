// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHammer does everything to a container at once. Whatever comes of it, it
// can be deleted, init's end is seen, and nothing is left.
func TestHammer(t *testing.T) {
	for range 10 {
		b := newBox(t, "spin").create()
		ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
		verbs := []func(){
			func() { _ = b.init.Start(ctx) },
			func() { _ = b.init.Start(ctx) },
			func() { _ = b.Pause(ctx) },
			func() { _ = b.Resume(ctx) },
			func() { _ = b.init.Signal(unix.SIGSTOP) },
			func() { _ = b.init.Signal(unix.SIGCONT) },
			func() { _, _ = b.Pids(ctx) },
			func() { _, _ = b.Stats(ctx) },
			func() { b.OOMKilled() },
			func() { _ = b.init.Signal(unix.SIGTERM) },
			func() { _ = b.KillAll(ctx) },
		}
		for range 4 {
			verbs = append(verbs, func() {
				p := boxProcess("spin")
				if e, err := b.Exec(ctx, &p, Stdio{}); err == nil {
					_ = e.Start(ctx)
					_ = e.Signal(unix.SIGKILL)
					<-e.Done()
				}
			})
		}
		rand.Shuffle(len(verbs), func(i, j int) { verbs[i], verbs[j] = verbs[j], verbs[i] })
		var all sync.WaitGroup
		for _, verb := range verbs {
			all.Go(verb)
		}
		must(t, b.Delete(ctx))
		select {
		case <-b.init.Done():
		case <-ctx.Done():
			t.Fatal("init does not end")
		}
		all.Wait()
		cancel()
		b.nothingLeft()
		if n := children(t); n != 0 {
			t.Errorf("%d children are left", n)
		}
	}
}
