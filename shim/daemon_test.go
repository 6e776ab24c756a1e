// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/linux"
	"containerd-shim-wazero/shim/task"
)

// TestOrphan has a shim without containers end when its bundle goes, and not before.
func TestOrphan(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "bundle")
	if err := os.Mkdir(bundle, 0o700); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	s := &service{
		shutdown:   sync.OnceFunc(func() { close(over) }),
		containers: map[string]*task.Container{"being created": nil},
		linux:      linux.New(linux.Config{}),
	}
	s.orphan = time.AfterFunc(time.Hour, func() { s.endOrphan(bundle) })
	defer s.orphan.Stop()
	ended := func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	}
	s.endOrphan(bundle)
	if s.forget("being created"); ended() {
		t.Fatal("it ends with a container")
	}
	if s.endOrphan(bundle); ended() {
		t.Fatal("it ends with a bundle")
	}
	if err := os.Remove(bundle); err != nil {
		t.Fatal(err)
	}
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Fatal("it never ends")
	}
	if err := s.reserve("late"); !errdefs.IsUnavailable(err) {
		t.Errorf("it takes a container that would die with it: %v", err)
	}
}

// TestRuncSocket: where our own socket's name is as long as one may be, the other can
// be bound too.
func TestRuncSocket(t *testing.T) {
	dir := t.TempDir()
	longest := len(unix.RawSockaddrUnix{}.Path) - 1
	own := filepath.Join(dir, strings.Repeat("0", longest-len(dir)-1))
	for _, name := range []string{own, runcSocket(own)} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}
