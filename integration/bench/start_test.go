// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/ttrpc"

	"containerd-shim-wazero/integration/harness"
)

// startToGuest is the time from a Start request to the guest's first
// instructions, in which it reads the clock: once as the shim is asked by
// containerd, and once through containerd.
func startToGuest(t *testing.T, node *harness.Node, figures *table) {
	node.Guest(t, "instant").Run().Exits(0)
	var shim, client []time.Duration
	for range 2 * *rounds {
		shim = append(shim, toGuest(t, node, direct))
		client = append(client, toGuest(t, node, func(_ testing.TB, task *harness.Task) func() { return task.Start }))
	}
	figures.within("Start request to the guest's first instruction, at the shim", median(shim), time.Millisecond)
	figures.beside("The same from containerd's client, beside at the shim", median(client), median(shim), "")
}

// toGuest runs a container that is started by the function that starter makes.
func toGuest(t *testing.T, node *harness.Node, starter func(testing.TB, *harness.Task) func()) time.Duration {
	var stdout bytes.Buffer
	task := node.Guest(t, "instant").Stdout(&stdout).Create()
	start := starter(t, task)
	begin := time.Now()
	start()
	task.Wait().Exits(0)
	task.Delete()
	if stdout.Len() != 8 {
		t.Fatalf("the guest wrote %d bytes, want 8", stdout.Len())
	}
	return time.Duration(int64(binary.LittleEndian.Uint64(stdout.Bytes())) - begin.UnixNano())
}

// direct asks the task's shim itself, over a connection that is already made.
func direct(t testing.TB, task *harness.Task) func() {
	found, err := filepath.Glob("/run/*/state/io.containerd.runtime.v2.task/*/" + task.ID + "/bootstrap.json")
	if err != nil || len(found) != 1 {
		found, _ = filepath.Glob("/run/*/io.containerd.runtime.v2.task/*/" + task.ID + "/bootstrap.json")
	}
	if len(found) != 1 {
		t.Fatalf("bootstrap.json of %s: found %q", task.ID, found)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ Address string }
	if err := json.Unmarshal(text, &at); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", strings.TrimPrefix(at.Address, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	client := ttrpc.NewClient(conn)
	t.Cleanup(func() { client.Close() })
	tasks := taskapi.NewTTRPCTaskClient(client)
	if _, err := tasks.State(context.Background(), &taskapi.StateRequest{ID: task.ID}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := tasks.Start(context.Background(), &taskapi.StartRequest{ID: task.ID}); err != nil {
			t.Fatalf("start %s: %v", task.ID, err)
		}
	}
}
