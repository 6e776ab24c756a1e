// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// TestLastAnswer has a server end by a request of which the client gets the answer.
func TestLastAnswer(t *testing.T) {
	for range 200 {
		var clients Clients
		server, err := ttrpc.NewServer(ttrpc.WithServerHandshaker(clients.Handshaker(ttrpc.UnixSocketRequireSameUser())))
		if err != nil {
			t.Fatal(err)
		}
		over, ended := make(chan struct{}), make(chan struct{})
		server.Register("test", map[string]ttrpc.Method{"End": func(context.Context, func(any) error) (any, error) {
			close(over)
			time.Sleep(time.Millisecond) // the server's end is on its way, as it would be
			return &emptypb.Empty{}, nil
		}})
		socket := filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go server.Serve(t.Context(), listener)
		go func() {
			<-over
			if err := errors.Join(clients.Answered(t.Context()), clients.Gone(t.Context())); err != nil {
				t.Error(err)
			}
			server.Close()
			close(ended)
		}()
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		client := ttrpc.NewClient(c)
		if err := client.Call(t.Context(), "test", "End", &ttrpc.Request{}, &ttrpc.Response{}); err != nil {
			t.Fatalf("the last request: %v", err)
		}
		client.Close()
		<-ended
	}
}

// TestLostClient has nobody wait for a client that has gone.
func TestLostClient(t *testing.T) {
	var clients Clients
	here, there := net.Pipe()
	c := &conn{Conn: here, clients: &clients}
	go there.Write(message(messageRequest, 3))
	if _, err := c.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if clients.requests != 1 {
		t.Fatalf("%d requests are open, want 1", clients.requests)
	}
	ended := make(chan error, 1)
	go func() { ended <- clients.Answered(t.Context()) }()
	c.Close()
	c.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	there.Close()
}

// TestFrames cuts a stream of messages at every place.
func TestFrames(t *testing.T) {
	var stream []byte
	for _, size := range []int{0, 1, 7, 300} {
		stream = append(stream, message(messageRequest, size)...)
		stream = append(stream, message(3, size)...)
	}
	for cut := range stream {
		var f frames
		n := f.count(stream[:cut], messageRequest) + f.count(stream[cut:], messageRequest)
		if n != 4 || f.have != 0 {
			t.Errorf("cut at %d: %d requests, want 4", cut, n)
		}
	}
}

func message(kind byte, size int) []byte {
	m := make([]byte, headerLength+size)
	binary.BigEndian.PutUint32(m, uint32(size))
	m[8] = kind
	return m
}
