// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/shim/record"
)

func TestGroup(t *testing.T) {
	for name, test := range map[string]struct{ spec, want string }{
		"none":      {`{"annotations":{"a":"b"}}`, "c1"},
		"pod":       {`{"annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}`, "pod"},
		"group":     {`{"annotations":{"io.containerd.runc.v2.group":"g"}}`, "g"},
		"pod first": {`{"annotations":{"io.containerd.runc.v2.group":"g","io.kubernetes.cri.sandbox-id":"pod"}}`, "pod"},
		"empty":     {`{"annotations":{"io.containerd.runc.v2.group":""}}`, "c1"},
		"broken":    {`{"annotations":`, "c1"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := t.TempDir()
			if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(test.spec), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := group(bundle, "c1"); got != test.want {
				t.Errorf("group %q, want %q", got, test.want)
			}
		})
	}
	if got := group(t.TempDir(), "c1"); got != "c1" {
		t.Errorf("without a spec: group %q", got)
	}
}

func TestSocketPath(t *testing.T) {
	path := func(address, namespace, group string) string {
		p, err := socketPath("/run/s", address, namespace, group)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	base := path("/run/c", "ns", "g")
	for _, other := range []string{path("/run/d", "ns", "g"), path("/run/c", "ns2", "g"), path("/run/c", "ns", "g2"), path("/run/c", "n", "sg")} {
		if other == base {
			t.Error("two groups have one socket")
		}
	}
	if _, err := socketPath("/"+strings.Repeat("d", 90), "a", "b", "c"); err == nil {
		t.Error("a path that no socket can have is not refused")
	}
}

// However many `start`s there are at once, also over a dead shim's socket, one
// binds and the others find it.
func TestListenTogether(t *testing.T) {
	for range 50 {
		path := filepath.Join(t.TempDir(), "s")
		dead, err := bind(path)
		if err != nil {
			t.Fatal(err)
		}
		dead.Close()
		const callers = 8
		bound := make(chan *os.File, callers)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				f, err := listen(path)
				if err != nil {
					t.Error(err)
				}
				if f != nil {
					bound <- f
				}
			})
		}
		wg.Wait()
		if len(bound) != 1 {
			t.Fatalf("%d callers have bound the socket", len(bound))
		}
		if !answers(path) {
			t.Fatal("the socket does not answer")
		}
		(<-bound).Close()
	}
}

func deleteAnswer(t *testing.T, bundle string) *taskapi.DeleteResponse {
	t.Helper()
	var out bytes.Buffer
	inv := &Invocation{ID: "c1", Namespace: "ns", Bundle: bundle}
	nothing := func(_ context.Context, _ *Invocation, _ string, r record.Record) (record.Record, error) {
		return r, nil
	}
	if err := Delete(t.Context(), inv, nothing, &out); err != nil {
		t.Fatal(err)
	}
	resp := new(taskapi.DeleteResponse)
	if err := proto.Unmarshal(out.Bytes(), resp); err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestDelete(t *testing.T) {
	bundle := t.TempDir()
	if resp := deleteAnswer(t, bundle); resp.ExitStatus != 137 || resp.Pid != 0 || resp.ExitedAt == nil {
		t.Errorf("never created: %v", resp)
	}
	if err := record.Save(bundle, record.Record{Pid: 12}); err != nil {
		t.Fatal(err)
	}
	if resp := deleteAnswer(t, bundle); resp.ExitStatus != 137 || resp.Pid != 12 {
		t.Errorf("died with its shim: %v", resp)
	}
	if err := record.Save(bundle, record.Record{Pid: 12, Exited: true, Status: 3}); err != nil {
		t.Fatal(err)
	}
	if resp := deleteAnswer(t, bundle); resp.ExitStatus != 3 || resp.Pid != 12 {
		t.Errorf("exited: %v", resp)
	}
	inv := &Invocation{ID: "c1", Namespace: "ns", Bundle: bundle}
	var out bytes.Buffer
	if err := Delete(t.Context(), inv, nil, &out); err != ErrLeft || out.Len() != 0 {
		t.Errorf("a sandbox is left: %q, %v", out.Bytes(), err)
	}
	if err := record.Save(bundle, record.Record{Pid: 12, Exited: true, Status: 3, Removed: true}); err != nil {
		t.Fatal(err)
	}
	if err := Delete(t.Context(), inv, nil, &out); err != nil || out.Len() == 0 {
		t.Errorf("nothing is left: %q, %v", out.Bytes(), err)
	}
}

// A dead shim's socket goes, a living one's stays, and a file that is no socket too.
func TestDeleteSocket(t *testing.T) {
	bundle := t.TempDir()
	path := filepath.Join(t.TempDir(), "s")
	if err := record.WriteFile(filepath.Join(bundle, addressFile), []byte(unixScheme+path)); err != nil {
		t.Fatal(err)
	}
	f, err := bind(path)
	if err != nil {
		t.Fatal(err)
	}
	deleteAnswer(t, bundle)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of a living shim: %v", err)
	}
	f.Close()
	deleteAnswer(t, bundle)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket of a dead shim: %v", err)
	}
	if err := os.WriteFile(path, nil, fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	deleteAnswer(t, bundle)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("a file that is no socket: %v", err)
	}
}
