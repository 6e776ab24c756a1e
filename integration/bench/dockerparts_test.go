// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// part is a stretch of a run, to its end's event. theirs says that the runtime has
// next to no share in it.
type part struct {
	until, what string
	theirs      bool
}

// parts are the stretches of "docker run --rm", each from the end of the one
// before, by the events of containerd: what is asked of the runtime and what
// client, dockerd and containerd do before, between and after.
var parts = []part{
	{"/containers/create", "the client, dockerd's container and its snapshot", true},
	{"/tasks/create", "the shim's start and Create", false},
	{"/tasks/start", "dockerd's network and Start", true},
	{"/tasks/exit", "the guest, to its exit event", false},
	// runc's shim ends at times before it has told of the task's removal.
	{"/containers/delete", "Delete, the shim's end, the container's removal", false},
	{"", "the rest of dockerd's removal, the client's end", true},
}

// dockerParts says which parts of docker run make the difference, and what is left
// of it with a runtime that takes no time at all.
func dockerParts(t *testing.T, _ *harness.Node, figures *table) {
	e := engine.Shared(t)
	e.LoadAll(t)
	watch := watchDocker(t, e)
	for _, network := range []string{"bridge", "none"} {
		share(figures, network, watch.both(t, e, network))
	}
}

// both runs a container of either runtime in turns: the times by runtime and part.
func (w watched) both(t *testing.T, e *engine.Engine, network string) (took [2][][]time.Duration) {
	t.Helper()
	for i := range took {
		took[i] = make([][]time.Duration, len(parts)+1)
	}
	for round := -1; round < *rounds; round++ {
		for i := range took {
			times := w.once(t, e, network, kinds[i])
			if round < 0 {
				continue
			}
			for part, time := range times {
				took[i][part] = append(took[i][part], time)
			}
		}
	}
	return took
}

// share adds the parts' rows.
func share(figures *table, network string, took [2][][]time.Duration) {
	name := "`--network " + network + "`: "
	whole := float64(median(took[0][len(parts)]))
	var floor time.Duration
	for part, p := range parts {
		runc, ours := median(took[0][part]), median(took[1][part])
		if p.theirs {
			floor += ours
		}
		figures.row(name+p.what, fmt.Sprintf("%.0f %% of runc's whole", 100*float64(runc)/whole),
			fmt.Sprintf("%.2f", float64(ours)/float64(runc)), "")
		fmt.Printf("%-60s %12s %12s\n", name+p.what, ms(ours), ms(runc))
	}
	figures.row(name+"the first, third and last of these parts, beside runc's whole", "", fmt.Sprintf("%.2f", float64(floor)/whole), "")
}

// watched are the events of dockerd's containers.
type watched struct {
	envelopes <-chan *events.Envelope
	failures  <-chan error
}

// watchDocker answers once events arrive: it asks with one of its own.
func watchDocker(t *testing.T, e *engine.Engine) (w watched) {
	ctx, cancel := context.WithCancel(namespaces.WithNamespace(context.Background(), "moby"))
	t.Cleanup(cancel)
	w.envelopes, w.failures = e.Node.Client.EventService().Subscribe(ctx, "namespace==moby")
	harness.Eventually(t, "events arrive", func() bool {
		if err := e.Node.Client.EventService().Publish(ctx, "/tasks/oom", &apievents.TaskOOM{ContainerID: "probe"}); err != nil {
			return false
		}
		select {
		case <-w.envelopes:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
	return w
}

// once runs a container and answers with the time of each part, and of the whole.
func (w watched) once(t *testing.T, e *engine.Engine, network string, kind []string) (times []time.Duration) {
	t.Helper()
	begin := time.Now()
	sayHello(t, e, network, kind)
	end, last := time.Now(), begin
	marks := w.marks(t, kind)
	for _, part := range parts {
		at, isEvent := marks[part.until]
		if !isEvent {
			at = end
		}
		times = append(times, at.Sub(last))
		last = at
	}
	return append(times, end.Sub(begin))
}

// marks are the times of a container's events, by topic, once all are there.
func (w watched) marks(t *testing.T, kind []string) map[string]time.Time {
	t.Helper()
	patience := time.After(harness.Patience)
	marks := map[string]time.Time{}
	for len(marks) < len(parts)-1 {
		select {
		case envelope := <-w.envelopes:
			if slices.ContainsFunc(parts, func(p part) bool { return p.until == envelope.Topic }) {
				marks[envelope.Topic] = envelope.Timestamp
			}
		case err := <-w.failures:
			t.Fatalf("events: %v", err)
		case <-patience:
			t.Fatalf("%v: no other events than %v", kind, marks)
		}
	}
	return marks
}
