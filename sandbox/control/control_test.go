// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// pair is both ends, that of the sandbox as the sandbox has it.
func pair(t testing.TB) (shim, sandbox *Conn) {
	t.Helper()
	shim, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	sandbox, err = New(file, MaxToSandbox)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shim.Close(); sandbox.Close() })
	return shim, sandbox
}

func TestFrames(t *testing.T) {
	shim, sandbox := pair(t)
	many := make([]*os.File, 500)
	for i := range many {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		many[i] = f
	}
	big := strings.Repeat("x", 1<<20)
	sent := make(chan error, 1)
	go func() {
		sent <- errors.Join(
			shim.Send(TypeGoOn, nil),
			shim.Send(TypeSetup, Setup{Hostname: big}, many...),
			shim.Send(TypeStart, nil))
	}()
	for _, want := range []struct {
		t     Type
		files int
	}{{TypeGoOn, 0}, {TypeSetup, len(many)}, {TypeStart, 0}} {
		f, err := sandbox.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != want.t || len(f.Files) != want.files {
			t.Errorf("type %d with %d descriptors, want %d with %d", f.Type, len(f.Files), want.t, want.files)
		}
		if want.t == TypeSetup {
			var s Setup
			if err := f.Decode(&s); err != nil || s.Hostname != big {
				t.Errorf("the body is not what was sent (%v)", err)
			}
		}
		f.Close()
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	shim.Close()
	if _, err := sandbox.Receive(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

// TestHostile: whatever a sandbox sends, the shim gets a frame or an error, soon.
func TestHostile(t *testing.T) {
	frame := func(size, files uint32, kind byte, body string) []byte {
		b := make([]byte, headerSize, headerSize+len(body))
		binary.LittleEndian.PutUint32(b, size)
		binary.LittleEndian.PutUint32(b[4:], files)
		b[8] = kind
		return append(b, body...)
	}
	for name, sent := range map[string][]byte{
		"nothing":                 nil,
		"half a header":           {1, 2, 3},
		"a huge body":             frame(1<<31, 0, 1, "x"),
		"more than it may":        frame(MaxFromSandbox+1, 0, 1, ""),
		"a body that is cut off":  frame(10, 0, 1, "x"),
		"descriptors that lack":   frame(0, 3, 1, ""),
		"too many descriptors":    frame(0, 1<<30, 1, ""),
		"every bit":               []byte(strings.Repeat("\xff", 100)),
		"a frame of unknown type": frame(2, 0, 200, "xx"),
	} {
		t.Run(name, func(t *testing.T) {
			shim, sandbox := pair(t)
			if err := shim.File().SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := sandbox.file.Write(sent); err != nil {
				t.Fatal(err)
			}
			sandbox.Close()
			f, err := shim.Receive()
			if err == nil && f.Type != 200 {
				t.Errorf("a frame came of it: %+v", f)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it waited")
			}
		})
	}
}

// TestDescriptorsOfRefusedFrames are closed.
func TestDescriptorsOfRefusedFrames(t *testing.T) {
	shim, sandbox := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	oob := unix.UnixRights(int(w.Fd()), int(w.Fd()))
	if err := unix.Sendmsg(int(sandbox.file.Fd()), make([]byte, headerSize), oob, nil, 0); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := shim.Receive(); err == nil {
		t.Fatal("a frame came with descriptors that it did not announce")
	}
	if err := r.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the pipe is still open somewhere: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for _, sentinel := range []error{errdefs.ErrNotFound, errdefs.ErrInvalidArgument, errdefs.ErrPermissionDenied, ErrDamaged} {
		for _, err := range []error{
			Errorf(sentinel, "a sentence"),
			fmt.Errorf("in %s: %w", "a place", Errorf(sentinel, "a sentence")),
		} {
			got := FromError(err).Err()
			if !errors.Is(got, sentinel) || got.Error() != err.Error() {
				t.Errorf("%v became %v", err, got)
			}
		}
	}
	got := Error{Kind: "nonsense", Text: "a\nb\x1b\u009b\u202e" + strings.Repeat("x", 10000) + "\xff"}.Err()
	if !errdefs.IsUnknown(got) || len(got.Error()) > maxText || strings.ContainsAny(got.Error(), "\n\x1b\u009b\u202e") {
		t.Errorf("a hostile error: %.40q, %d bytes", got.Error(), len(got.Error()))
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{4, 0, 0, 0, 0, 0, 0, 0, 10, 1, 'k', 1, 't'})
	f.Add([]byte{4, 0, 0, 0, 1, 0, 0, 0, 10, 1, 'k', 1, 't'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 32<<10 {
			return // more than a socket holds
		}
		shim, sandbox := pair(t)
		if _, err := sandbox.file.Write(b); err != nil {
			t.Fatal(err)
		}
		sandbox.Close()
		for {
			frame, err := shim.Receive()
			if err != nil {
				return
			}
			var e Error
			if frame.Decode(&e) == nil {
				_ = e.Err().Error()
			}
			frame.Close()
		}
	})
}
