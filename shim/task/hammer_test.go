// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/shim/stdio"
)

// Everything at once, in no order: whatever the callers' luck, the events tell
// a possible story, all waiters wake, and the container ends deleted.
func TestHammer(t *testing.T) {
	for round := range 300 {
		hammer(t, round)
	}
}

func hammer(t *testing.T, round int) {
	c, box, rec := newContainer(t)
	init := box.procs[0]
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	execs := []string{"e0", "e1", "e2"}
	calls := []func(){
		func() { _, _ = c.Start(ctx, "") },
		func() { _ = c.Kill(ctx, "", unix.SIGTERM, rand.IntN(2) == 0) },
		func() { _ = c.Kill(ctx, "", unix.SIGKILL, true) },
		func() { _ = c.Pause(ctx) },
		func() { _ = c.Resume(ctx) },
		func() { _, _ = c.Pids(ctx) },
		func() { _, _ = c.Status("") },
		func() { _, _ = c.Delete(ctx, "") },
		func() { _, _ = c.Delete(ctx, "") },
		func() { init.exit(9) },
	}
	for _, id := range execs {
		calls = append(calls,
			func() {
				if c.Exec(id, &specs.Process{}, stdio.Request{}) == nil {
					_, _ = c.Start(ctx, id)
				}
			},
			func() { _, _ = c.Start(ctx, id) },
			func() { _ = c.Kill(ctx, id, unix.SIGTERM, false) },
			func() { _, _ = c.Delete(ctx, id) },
		)
	}
	rand.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	var wg, waiters sync.WaitGroup
	for _, call := range calls {
		wg.Go(call)
	}
	for _, id := range execs {
		waiters.Go(func() {
			if _, _, _ = c.Wait(ctx, id); ctx.Err() != nil {
				t.Errorf("round %d: nobody woke who waits for %s", round, id)
			}
		})
	}
	wg.Wait()
	if _, _, err := c.Wait(ctx, ""); err != nil {
		t.Errorf("round %d: wait: %v", round, err)
	}
	if st, _ := c.Status(""); st.State != Deleted {
		if _, err := c.Delete(ctx, ""); err != nil {
			t.Errorf("round %d: delete: %v", round, err)
		}
	}
	waiters.Wait()
	if box.deletes != 1 {
		t.Errorf("round %d: the sandbox was deleted %d times", round, box.deletes)
	}
	checkStory(t, round, rec.events())
}

// checkStory checks the order of events that containerd's runtime document demands.
func checkStory(t *testing.T, round int, list []string) {
	t.Helper()
	at := map[string][]int{}
	for i, e := range list {
		fields := strings.Fields(e)
		key := fields[0]
		if len(fields) > 1 {
			key += " " + fields[1]
		}
		at[key] = append(at[key], i)
	}
	fail := func(format string, args ...any) {
		t.Errorf("round %d: %s in\n%q", round, fmt.Sprintf(format, args...), list)
	}
	for _, once := range []string{"/tasks/create", "/tasks/exit c", "/tasks/delete"} {
		if len(at[once]) != 1 {
			fail("%d of %s", len(at[once]), once)
			return
		}
	}
	exit := at["/tasks/exit c"][0]
	if at["/tasks/create"][0] != 0 || at["/tasks/delete"][0] != len(list)-1 {
		fail("create is not first or delete not last")
	}
	for key, places := range at {
		last := places[len(places)-1]
		switch {
		case key == "/tasks/delete" || key == "/tasks/exit c":
		case last > exit && !strings.HasPrefix(key, "/tasks/exec-added"):
			fail("%s after init's exit", key)
		case strings.HasPrefix(key, "/tasks/exec-started"):
			exits := at[strings.Replace(key, "exec-started", "exit", 1)]
			if len(exits) != len(places) {
				fail("%d of %s and %d exits", len(places), key, len(exits))
				continue
			}
			for i := range places {
				if exits[i] < places[i] {
					fail("exit before %s", key)
				}
			}
		}
	}
}
