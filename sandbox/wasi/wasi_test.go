// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasi

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// listener stands for a socket.
type listener struct{ descriptor.Socket }

func (listener) Kind() descriptor.Kind   { return descriptor.StreamSocket }
func (listener) Close() descriptor.Errno { return 0 }

func TestOrder(t *testing.T) {
	dir := t.TempDir()
	before := openDescriptors(t)
	s, err := New(Config{
		Stdin: -1, Stdout: -1, Stderr: -1,
		Listeners:      []Listener{{Socket: listener{}, Name: "web"}},
		Preopens:       []Preopen{{Path: dir, Name: "."}, {Path: dir, Name: "/data", ReadOnly: true}},
		MaxDescriptors: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for fd := range int32(s.Table.Len()) {
		e, _ := s.Table.Get(fd)
		got = append(got, e.Name)
	}
	if strings.Join(got, ",") != ",,,web,.,/data" {
		t.Errorf("names %q", got)
	}
	if !s.Table.Full() {
		t.Error("the limit is not what is open")
	}
	s.Close()
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors were open, %d are left", before, after)
	}
}

// TestFailure leaves nothing open.
func TestFailure(t *testing.T) {
	dir := t.TempDir()
	before := openDescriptors(t)
	for _, cfg := range []Config{
		{Stdin: -1, Stdout: -1, Stderr: -1, Preopens: []Preopen{{Path: dir}, {Path: dir + "/missing"}}},
		{Stdin: -1, Stdout: 1 << 20, Stderr: -1, Preopens: []Preopen{{Path: dir}}},
	} {
		if s, err := New(cfg); err == nil {
			s.Close()
			t.Errorf("%+v was taken", cfg)
		}
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors were open, %d are left", before, after)
	}
}

func TestLimitFollowsRlimit(t *testing.T) {
	s, err := New(Config{Stdin: -1, Stdout: -1, Stderr: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		t.Fatal(err)
	}
	if limit := s.Table.Limit(); uint64(limit) >= r.Cur {
		t.Errorf("limit %d, but the process may have only %d", limit, r.Cur)
	}
}
