// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package drain tells when the clients of a ttrpc server have what they asked for.
// ttrpc's own Shutdown cannot: to it a connection is idle while its only request is
// handled. And its client may take the end of a connection for the answer that came
// just before, so that a server had better let the client hang up. containerd takes a
// sandbox for broken whose last answer is missing.
package drain

import (
	"context"
	"encoding/binary"
	"net"
	"sync"

	"github.com/containerd/ttrpc"
)

// Clients are those of one server.
type Clients struct {
	mu          sync.Mutex
	connections int
	requests    int           // without their answer
	changed     chan struct{} // closed at the next change, if someone waits
}

// Answered waits until no request is left without its answer.
func (c *Clients) Answered(ctx context.Context) error {
	return c.wait(ctx, func() bool { return c.requests == 0 })
}

// Gone waits until no client is connected.
func (c *Clients) Gone(ctx context.Context) error {
	return c.wait(ctx, func() bool { return c.connections == 0 })
}

func (c *Clients) wait(ctx context.Context, done func() bool) error {
	for {
		c.mu.Lock()
		if done() {
			c.mu.Unlock()
			return nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Clients) add(connections, requests int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connections += connections
	c.requests += requests
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Handshaker is next with its connections watched.
func (c *Clients) Handshaker(next ttrpc.Handshaker) ttrpc.Handshaker { return handshaker{c, next} }

type handshaker struct {
	clients *Clients
	next    ttrpc.Handshaker
}

func (h handshaker) Handshake(ctx context.Context, c net.Conn) (net.Conn, any, error) {
	c, info, err := h.next.Handshake(ctx, c)
	if err != nil {
		return c, info, err
	}
	h.clients.add(1, 0)
	return &conn{Conn: c, clients: h.clients}, info, nil
}

// conn counts the requests that come and the responses that go. It is read by one
// goroutine and written by another.
type conn struct {
	net.Conn
	clients *Clients
	in, out frames

	mu     sync.Mutex
	open   int
	closed bool
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.add(c.in.count(p[:n], messageRequest))
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.add(-c.out.count(p[:n], messageResponse))
	return n, err
}

// Close answers for what will have no answer any more.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.clients.add(-1, -c.open)
		c.closed = true
	}
	return err
}

func (c *conn) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n != 0 && !c.closed {
		c.open += n
		c.clients.add(0, n)
	}
}

// Types of messages and the length of their header (ttrpc's PROTOCOL.md).
const (
	messageRequest  = 1
	messageResponse = 2
	headerLength    = 10
)

// frames follows the messages of one direction.
type frames struct {
	header [headerLength]byte
	have   int    // of the header
	left   uint32 // of what follows it
}

// count is how many messages of a type end in p, the next bytes.
func (f *frames) count(p []byte, kind byte) (n int) {
	for len(p) > 0 {
		if f.have < headerLength {
			taken := copy(f.header[f.have:], p)
			p = p[taken:]
			if f.have += taken; f.have < headerLength {
				return n
			}
			f.left = binary.BigEndian.Uint32(f.header[:])
		}
		taken := min(int64(f.left), int64(len(p)))
		f.left -= uint32(taken)
		p = p[taken:]
		if f.left == 0 {
			f.have = 0
			if f.header[8] == kind {
				n++
			}
		}
	}
	return n
}
