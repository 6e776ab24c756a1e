// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package testsuite

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long one step may take.
const patience = 30 * time.Second

type testCase struct {
	module      string
	host        Host
	process     *Process
	stdout      *bufio.Reader
	stderr      *bufio.Reader
	connections map[string]net.Conn
}

func (c *testCase) run(t *testing.T, operations []operation) {
	t.Cleanup(c.close)
	for _, op := range operations {
		if c.process == nil && op.Type != "run" {
			t.Fatalf("%s before run", op.Type)
		}
		switch op.Type {
		case "run":
			c.start(t, op)
		case "write":
			c.write(t, op)
		case "read":
			c.read(t, op)
		case "connect":
			c.connect(t, op)
		case "send":
			c.send(t, op)
		case "recv":
			c.receive(t, op)
		case "wait":
			c.wait(t, op)
		default:
			t.Fatalf("the operation %q is not one of WASI 0.1's tests", op.Type)
		}
	}
}

func (c *testCase) start(t *testing.T, op operation) {
	command := Command{Module: c.module, Args: slices.Insert(op.Args, 0, filepath.Base(c.module))}
	for key, value := range op.Env {
		command.Env = append(command.Env, key+"="+value)
	}
	slices.Sort(command.Env)
	if op.Root != "" {
		command.Root = t.TempDir()
		if err := os.CopyFS(command.Root, os.DirFS(filepath.Join(filepath.Dir(c.module), op.Root))); err != nil {
			t.Fatal(err)
		}
	}
	c.process = c.host(t, command)
	c.stdout, c.stderr = bufio.NewReader(c.process.Stdout), bufio.NewReader(c.process.Stderr)
	c.connections = make(map[string]net.Conn)
}

func (c *testCase) close() {
	for _, conn := range c.connections {
		conn.Close()
	}
}

func (c *testCase) write(t *testing.T, op operation) {
	if _, err := io.WriteString(c.process.Stdin, op.Payload); err != nil {
		t.Fatalf("writing to stdin: %v", err)
	}
}

func (c *testCase) read(t *testing.T, op operation) {
	stream := c.stdout
	if op.ID == "stderr" {
		stream = c.stderr
	}
	got := make([]byte, len(op.Payload))
	n, err := io.ReadFull(stream, got)
	if string(got[:n]) != op.Payload {
		t.Errorf("read from %s: %q (%v), want %q", op.ID, got[:n], err, op.Payload)
	}
}

func (c *testCase) connect(t *testing.T, op operation) {
	address, err := c.stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("reading the guest's address: %v", err)
	}
	network := op.ProtocolType
	if network == "" {
		network = "tcp"
	}
	conn, err := net.DialTimeout(network, strings.TrimSpace(address), patience)
	if err != nil {
		t.Fatal(err)
	}
	id := op.ID
	if id == "" {
		id = "server"
	}
	c.connections[id] = conn
}

func (c *testCase) connection(t *testing.T, op operation) net.Conn {
	conn := c.connections[op.ID]
	if conn == nil {
		t.Fatalf("%s on %q, which is not connected", op.Type, op.ID)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func (c *testCase) send(t *testing.T, op operation) {
	if _, err := io.WriteString(c.connection(t, op), op.Payload); err != nil {
		t.Fatal(err)
	}
}

func (c *testCase) receive(t *testing.T, op operation) {
	got := make([]byte, len(op.Payload))
	n, err := io.ReadFull(c.connection(t, op), got)
	if string(got[:n]) != op.Payload {
		t.Errorf("received %q (%v), want %q", got[:n], err, op.Payload)
	}
}

func (c *testCase) wait(t *testing.T, op operation) {
	c.process.Stdin.Close()
	var stdout, stderr strings.Builder
	drained := make(chan struct{}, 2)
	drain := func(to *strings.Builder, from io.Reader) {
		io.Copy(to, from)
		drained <- struct{}{}
	}
	go drain(&stdout, c.stdout)
	go drain(&stderr, c.stderr)
	type outcome struct {
		code int
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		code, err := c.process.Wait()
		ended <- outcome{code, err}
	}()
	select {
	case o := <-ended:
		<-drained
		<-drained
		if o.err != nil || o.code != op.ExitCode {
			t.Errorf("exit code %d (%v), want %d\nstdout: %s\nstderr: %s", o.code, o.err, op.ExitCode, &stdout, &stderr)
		}
	case <-time.After(patience):
		t.Fatalf("the guest does not end")
	}
}
