// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package event forwards the shim's events to containerd, in the order they
// were published.
package event

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	events "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/log"
	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// maxQueue bounds what waits for a containerd that is away.
	maxQueue       = 4096
	forwardTimeout = 5 * time.Second
	retryDelay     = 200 * time.Millisecond
)

// Forwarder sends events to containerd, one at a time. Publish never blocks. An
// event that cannot be delivered is tried again before any later one: what is
// out of order (a start after its exit) misleads containerd for good, what is
// late does not. One whose answer was lost with the connection comes twice.
type Forwarder struct {
	namespace string
	address   string

	mu     sync.Mutex
	queue  []*types.Envelope // guarded by mu
	closed bool              // guarded by mu
	wake   chan struct{}     // holds a token when queue or closed changed
	done   chan struct{}     // closed when run has returned
	giveUp chan struct{}     // closed when Close's patience ends
}

// New makes the forwarder for the ttrpc socket at address, a path or unix://
// URL. Without an address events go nowhere.
func New(namespace, address string) *Forwarder {
	f := &Forwarder{
		namespace: namespace,
		address:   strings.TrimPrefix(address, "unix://"),
		wake:      make(chan struct{}, 1),
		done:      make(chan struct{}),
		giveUp:    make(chan struct{}),
	}
	go f.run()
	return f
}

// Publish queues the event.
func (f *Forwarder) Publish(topic string, event proto.Message) {
	value, err := proto.Marshal(event)
	if err != nil {
		log.L.WithError(err).Errorf("encode the event %s", topic)
		return
	}
	e := &types.Envelope{
		Timestamp: timestamppb.Now(),
		Namespace: f.namespace,
		Topic:     topic,
		Event:     &anypb.Any{TypeUrl: string(event.ProtoReflect().Descriptor().FullName()), Value: value},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.address == "" {
		return
	}
	if len(f.queue) >= maxQueue {
		log.L.Errorf("containerd takes no events: the oldest, %s, is dropped", f.queue[0].Topic)
		f.queue = f.queue[1:]
	}
	f.queue = append(f.queue, e)
	f.signal()
}

// Close sends what is queued, until ctx ends.
func (f *Forwarder) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.signal()
	f.mu.Unlock()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		close(f.giveUp)
		return fmt.Errorf("send the last events: %w", ctx.Err())
	}
}

// signal is called with f.mu held.
func (f *Forwarder) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// next returns the oldest event, waiting for one, or nil after Close.
func (f *Forwarder) next() *types.Envelope {
	for {
		f.mu.Lock()
		if len(f.queue) > 0 {
			e := f.queue[0]
			f.queue[0] = nil
			f.queue = f.queue[1:]
			f.mu.Unlock()
			return e
		}
		closed := f.closed
		f.mu.Unlock()
		if closed {
			return nil
		}
		<-f.wake
	}
}

func (f *Forwarder) run() {
	defer close(f.done)
	var c client
	defer c.close()
	for e := f.next(); e != nil; e = f.next() {
		for {
			err := c.forward(f.address, e)
			if err == nil {
				break
			}
			log.L.WithError(err).Debugf("forward %s", e.Topic)
			if refused(err) {
				log.L.WithError(err).Errorf("containerd refuses the event %s", e.Topic)
				break
			}
			select {
			case <-f.giveUp:
				return
			case <-time.After(retryDelay):
			}
		}
	}
}

// refused reports whether containerd itself answered with an error, which a
// second attempt would only repeat.
func refused(err error) bool {
	st, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch st.Code() {
	case codes.DeadlineExceeded, codes.Canceled, codes.Unavailable:
		return false
	}
	return true
}

// client is a connection to containerd, dialled when needed.
type client struct{ ttrpc *ttrpc.Client }

func (c *client) forward(address string, e *types.Envelope) error {
	if c.ttrpc == nil {
		conn, err := net.DialTimeout("unix", address, forwardTimeout)
		if err != nil {
			return err
		}
		c.ttrpc = ttrpc.NewClient(conn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), forwardTimeout)
	defer cancel()
	_, err := events.NewTTRPCEventsClient(c.ttrpc).Forward(ctx, &events.ForwardRequest{Envelope: e})
	if err != nil && !refused(err) {
		c.close()
	}
	return err
}

func (c *client) close() {
	if c.ttrpc != nil {
		_ = c.ttrpc.Close()
		c.ttrpc = nil
	}
}
