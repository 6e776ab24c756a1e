// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"
)

// Events are the task events of a node since Events was called, in the order
// in which containerd had them.
type Events struct {
	t  testing.TB
	mu sync.Mutex
	// lines by container id: "create", "start", "exit 0", "exec-added exec1",
	// "exec-started exec1", "exit 3 exec1", "oom", "paused", "resumed",
	// "delete", "delete exec1".
	lines map[string][]string
}

// Events begins to listen, until the test's end.
func (n *Node) Events(t testing.TB) *Events {
	t.Helper()
	e := &Events{t: t, lines: map[string][]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	envelopes, failures := n.Client.EventService().Subscribe(ctx, `topic~="/tasks/"`)
	go func() {
		for {
			select {
			case envelope := <-envelopes:
				e.note(envelope)
			case <-failures:
				return
			}
		}
	}()
	// Only once the subscription stands do events arrive: ask with one.
	Eventually(t, "events arrive", func() bool {
		err := n.Client.EventService().Publish(ctx, "/tasks/oom", &apievents.TaskOOM{ContainerID: "probe"})
		return err == nil && soon(100*time.Millisecond, func() bool { return len(e.Of("probe")) > 0 })
	})
	return e
}

func (e *Events) note(envelope *events.Envelope) {
	if envelope == nil || envelope.Event == nil {
		return
	}
	event, err := typeurl.UnmarshalAny(envelope.Event)
	if err != nil {
		e.t.Errorf("event %s: %v", envelope.Topic, err)
		return
	}
	id, line := describe(event)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines[id] = append(e.lines[id], line)
}

func describe(event any) (id, line string) {
	// The process of an event is "" or the container's id for its first one.
	of := func(verb, id, exec string) string {
		if exec == "" || exec == id {
			return verb
		}
		return verb + " " + exec
	}
	switch e := event.(type) {
	case *apievents.TaskCreate:
		return e.ContainerID, "create"
	case *apievents.TaskStart:
		return e.ContainerID, "start"
	case *apievents.TaskExecAdded:
		return e.ContainerID, "exec-added " + e.ExecID
	case *apievents.TaskExecStarted:
		return e.ContainerID, "exec-started " + e.ExecID
	case *apievents.TaskExit:
		return e.ContainerID, of("exit "+strconv.Itoa(int(e.ExitStatus)), e.ContainerID, e.ID)
	case *apievents.TaskDelete:
		return e.ContainerID, of("delete", e.ContainerID, e.ID)
	case *apievents.TaskOOM:
		return e.ContainerID, "oom"
	case *apievents.TaskPaused:
		return e.ContainerID, "paused"
	case *apievents.TaskResumed:
		return e.ContainerID, "resumed"
	}
	return "", "unknown"
}

// Of are a container's events so far.
func (e *Events) Of(id string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.lines[id]...)
}

// Expect waits until a container's events are exactly these.
func (e *Events) Expect(id string, want ...string) {
	e.t.Helper()
	joined := strings.Join(want, ", ")
	if !soon(Patience, func() bool { return strings.Join(e.Of(id), ", ") == joined }) {
		e.t.Errorf("events of %s: %s\nwant %s", id, strings.Join(e.Of(id), ", "), joined)
	}
}
