// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	taskevents "github.com/containerd/containerd/api/events"
	events "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// server stands in for containerd's ttrpc socket.
type server struct {
	mu   sync.Mutex
	got  []string
	last string
	fail codes.Code // of the next event
	came chan struct{}
}

func (s *server) Forward(_ context.Context, r *events.ForwardRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.fail; code != codes.OK && r.Envelope.Topic != s.last {
		s.fail = codes.OK
		return nil, status.Error(code, "not now")
	}
	e := r.Envelope
	// An event whose answer was lost with the connection is sent again, before
	// any other.
	if e.Topic == s.last {
		return &emptypb.Empty{}, nil
	}
	s.last = e.Topic
	s.got = append(s.got, fmt.Sprintf("%s %s %s %t", e.Namespace, e.Topic, e.Event.TypeUrl, e.Timestamp.IsValid()))
	s.came <- struct{}{}
	return &emptypb.Empty{}, nil
}

// serve listens as containerd does; the result ends it.
func serve(t *testing.T, path string, s *server) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	events.RegisterTTRPCEventsService(ts, s)
	go func() { _ = ts.Serve(context.Background(), l) }()
	return sync.OnceFunc(func() {
		ts.Close()
		os.Remove(path)
	})
}

func (s *server) want(t *testing.T, topics ...string) {
	t.Helper()
	for range topics {
		select {
		case <-s.came:
		case <-time.After(20 * time.Second):
			t.Fatal("an event did not come")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, topic := range topics {
		if want := "ns " + topic + " containerd.events.TaskStart true"; s.got[i] != want {
			t.Errorf("event %d is %q, want %q", i, s.got[i], want)
		}
	}
	s.got = nil
}

func TestOrder(t *testing.T) {
	s := &server{came: make(chan struct{}, 1000)}
	path := filepath.Join(t.TempDir(), "s")
	stop := serve(t, path, s)
	f := New("ns", "unix://"+path)
	publish := func(topics ...string) {
		for _, topic := range topics {
			f.Publish(topic, &taskevents.TaskStart{})
		}
	}
	publish("/a", "/b")
	s.want(t, "/a", "/b")

	// containerd restarts: what happened meanwhile comes in order.
	stop()
	publish("/c", "/d", "/e")
	time.Sleep(2 * retryDelay)
	stop = serve(t, path, s)
	defer stop()
	s.want(t, "/c", "/d", "/e")

	// One that fails for now comes before the next, one refused for good not at all.
	s.mu.Lock()
	s.fail = codes.Unavailable
	s.mu.Unlock()
	publish("/f", "/g")
	s.want(t, "/f", "/g")
	s.mu.Lock()
	s.fail = codes.InvalidArgument
	s.mu.Unlock()
	publish("/h", "/i")
	s.want(t, "/i")

	publish("/j", "/k")
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.want(t, "/j", "/k")
	publish("/l") // after Close: nobody takes it, nothing breaks
}

func TestCloseGivesUp(t *testing.T) {
	f := New("ns", filepath.Join(t.TempDir(), "nobody"))
	f.Publish("/a", &taskevents.TaskStart{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); err == nil {
		t.Error("an event that nobody took is reported as sent")
	}
	<-f.done
}

func TestBounded(t *testing.T) {
	f := New("ns", filepath.Join(t.TempDir(), "nobody"))
	for range 2 * maxQueue {
		f.Publish("/a", &taskevents.TaskStart{})
	}
	f.mu.Lock()
	if n := len(f.queue); n > maxQueue {
		t.Errorf("%d events wait", n)
	}
	f.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = f.Close(ctx)
}
