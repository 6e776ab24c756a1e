// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package drain tells when every request to a ttrpc server is answered. ttrpc's own
// Shutdown cannot: to it a connection is idle while its only request is handled, and
// containerd takes a sandbox for broken whose last answer is missing.
package drain

import (
	"context"
	"encoding/binary"
	"net"
	"sync"

	"github.com/containerd/ttrpc"
)

// Requests are those of all connections of one server.
type Requests struct {
	mu    sync.Mutex
	open  int
	ended chan struct{} // closed when open falls to zero, if someone waits
}

// Wait waits until no request is left without its answer.
func (r *Requests) Wait(ctx context.Context) error {
	r.mu.Lock()
	if r.open == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.ended == nil {
		r.ended = make(chan struct{})
	}
	ended := r.ended
	r.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Requests) add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open += n
	if r.open == 0 && r.ended != nil {
		close(r.ended)
		r.ended = nil
	}
}

// Handshaker is next with its connections watched.
func (r *Requests) Handshaker(next ttrpc.Handshaker) ttrpc.Handshaker { return handshaker{r, next} }

type handshaker struct {
	requests *Requests
	next     ttrpc.Handshaker
}

func (h handshaker) Handshake(ctx context.Context, c net.Conn) (net.Conn, any, error) {
	c, info, err := h.next.Handshake(ctx, c)
	if err != nil {
		return c, info, err
	}
	return &conn{Conn: c, requests: h.requests}, info, nil
}

// conn counts the requests that come and the responses that go. It is read by one
// goroutine and written by another.
type conn struct {
	net.Conn
	requests *Requests
	in, out  frames

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
	c.requests.add(-c.open)
	c.open, c.closed = 0, true
	return err
}

func (c *conn) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n != 0 && !c.closed {
		c.open += n
		c.requests.add(n)
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
