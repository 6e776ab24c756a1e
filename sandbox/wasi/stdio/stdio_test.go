// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

func stream(t *testing.T, fd int) *Stream {
	t.Helper()
	d, errno := New(fd)
	if errno != 0 {
		t.Fatal(errno)
	}
	return d.(*Stream)
}

func pipe(t *testing.T, flags int) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|flags); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(p[0])
		unix.Close(p[1])
	})
	return p[0], p[1]
}

func vec(s string) [][]byte { return [][]byte{[]byte(s)} }

// TestWaits: a guest's stream waits although the description does not.
func TestWaits(t *testing.T) {
	r, w := pipe(t, unix.O_NONBLOCK)
	in, out := stream(t, r), stream(t, w)
	go func() {
		time.Sleep(20 * time.Millisecond)
		unix.Write(w, []byte("late"))
	}()
	buf := [][]byte{make([]byte, 10)}
	if n, errno := in.Readv(buf); n != 4 || errno != 0 {
		t.Errorf("read: %d, %v", n, errno)
	}
	done := make(chan int)
	go func() {
		total := 0
		for part := make([]byte, 1<<16); total < 1<<20; {
			switch n, err := unix.Read(r, part); err {
			case nil:
				total += n
			case unix.EAGAIN:
				time.Sleep(time.Millisecond)
			}
		}
		done <- total
	}()
	for sent := 0; sent < 1<<20; {
		n, errno := out.Writev([][]byte{make([]byte, 1<<20-sent)})
		if errno != 0 {
			t.Fatal(errno)
		}
		sent += n
	}
	if n := <-done; n != 1<<20 {
		t.Errorf("%d bytes came", n)
	}
}

// TestNonblock: the guest's flag stays on its side.
func TestNonblock(t *testing.T) {
	r, w := pipe(t, 0)
	in, out := stream(t, r), stream(t, w)
	if in.SetFlags(descriptor.Nonblock) != 0 || out.SetFlags(descriptor.Nonblock) != 0 {
		t.Fatal("setting flags")
	}
	if flags, _ := unix.FcntlInt(uintptr(r), unix.F_GETFL, 0); flags&unix.O_NONBLOCK != 0 {
		t.Error("the description became nonblocking")
	}
	buf := [][]byte{make([]byte, 10)}
	if _, errno := in.Readv(buf); errno != syscall.EAGAIN {
		t.Errorf("read of nothing: %v, want EAGAIN", errno)
	}
	total := 0
	for {
		n, errno := out.Writev([][]byte{nil, make([]byte, 10000)})
		if errno == syscall.EAGAIN {
			break
		}
		if errno != 0 || n == 0 {
			t.Fatalf("write: %d, %v", n, errno)
		}
		total += n
	}
	if total != 1<<16 {
		t.Errorf("%d bytes fit", total)
	}
	if n, errno := in.Readv(buf); n != 10 || errno != 0 {
		t.Errorf("read: %d, %v", n, errno)
	}
	if errno := in.SetFlags(descriptor.Sync); errno != syscall.EINVAL {
		t.Errorf("Sync: %v, want EINVAL", errno)
	}
}

func TestEnds(t *testing.T) {
	r, w := pipe(t, 0)
	in, out := stream(t, r), stream(t, w)
	buf := [][]byte{make([]byte, 10)}
	if errno := out.Close(); errno != 0 {
		t.Fatal(errno)
	}
	if n, errno := in.Readv(buf); n != 0 || errno != 0 {
		t.Errorf("read at the end: %d, %v", n, errno)
	}
	r2, w2 := pipe(t, 0)
	unix.Close(r2)
	if _, errno := stream(t, w2).Writev(vec("x")); errno != syscall.EPIPE {
		t.Errorf("write to nobody: %v, want EPIPE", errno)
	}
}

func TestKinds(t *testing.T) {
	r, _ := pipe(t, 0)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name          string
		fd            int
		kind          descriptor.Kind
		seekable, tty bool
	}{
		{"pipe", r, descriptor.FIFO, false, false},
		{"file", int(file.Fd()), descriptor.RegularFile, true, false},
		{"terminal", int(tty.Fd()), descriptor.CharacterDevice, false, true},
		{"null", int(null.Fd()), descriptor.CharacterDevice, true, false},
	} {
		s := stream(t, c.fd)
		if s.Kind() != c.kind || s.Seekable() != c.seekable || s.Terminal() != c.tty {
			t.Errorf("%s: kind %d, seekable %v, terminal %v", c.name, s.Kind(), s.Seekable(), s.Terminal())
		}
		var st descriptor.Stat
		if errno := s.Stat(&st); errno != 0 || st.Ino != 0 || st.Dev != 0 {
			t.Errorf("%s: status %+v, %v", c.name, st, errno)
		}
	}
	if _, errno := stream(t, r).Lseek(0, unix.SEEK_CUR); errno != syscall.ESPIPE {
		t.Errorf("seek in a pipe: %v, want ESPIPE", errno)
	}
	if _, errno := stream(t, r).Preadv([][]byte{make([]byte, 1)}, 0); errno != syscall.ESPIPE {
		t.Errorf("pread of a pipe: %v, want ESPIPE", errno)
	}
	if _, errno := New(1 << 20); errno != syscall.EBADF {
		t.Errorf("a closed descriptor: %v, want EBADF", errno)
	}
}

func TestNull(t *testing.T) {
	d, _ := New(-1)
	null := d.(Null)
	if n, errno := null.Readv([][]byte{make([]byte, 9)}); n != 0 || errno != 0 {
		t.Errorf("read: %d, %v", n, errno)
	}
	if n, errno := null.Writev(vec(strings.Repeat("x", 9))); n != 9 || errno != 0 {
		t.Errorf("write: %d, %v", n, errno)
	}
}
