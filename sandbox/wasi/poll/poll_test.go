// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pipe(t testing.TB) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(p[0])
		unix.Close(p[1])
	})
	return p[0], p[1]
}

func TestReadiness(t *testing.T) {
	r, w := pipe(t)
	var p Poller
	p.Reset()
	reader, writer := p.Add(r, In), p.Add(w, Out)
	if n, errno := p.Wait(0); n != 1 || errno != 0 || p.Ready(reader) != 0 || p.Ready(writer) != Out {
		t.Errorf("empty pipe: %d, %v, %b, %b", n, errno, p.Ready(reader), p.Ready(writer))
	}
	unix.Write(w, []byte("x"))
	if n, _ := p.Wait(Forever); n != 2 || p.Ready(reader) != In {
		t.Errorf("filled pipe: %d, %b", n, p.Ready(reader))
	}
	unix.Read(r, make([]byte, 1))
	unix.Close(w)
	p.Reset()
	reader = p.Add(r, In)
	if n, _ := p.Wait(Forever); n != 1 || p.Ready(reader)&Hup == 0 {
		t.Errorf("closed pipe: %d, %b", n, p.Ready(reader))
	}
}

func TestTimeout(t *testing.T) {
	r, w := pipe(t)
	start := time.Now()
	if _, errno := One(r, In, 30*time.Millisecond); errno != syscall.ETIMEDOUT {
		t.Errorf("%v, want ETIMEDOUT", errno)
	}
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if _, errno := One(r, In, -1); errno != syscall.ETIMEDOUT {
		t.Errorf("negative timeout: %v, want ETIMEDOUT", errno)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		unix.Write(w, []byte("x"))
	}()
	if came, errno := One(r, In, Forever); came != In || errno != 0 {
		t.Errorf("%b, %v", came, errno)
	}
}

func TestBadDescriptor(t *testing.T) {
	var p Poller
	i := p.Add(1<<20, In)
	if n, errno := p.Wait(Forever); n != 1 || errno != 0 || p.Ready(i) != Nil {
		t.Errorf("%d, %v, %b", n, errno, p.Ready(i))
	}
}

func TestNoAllocation(t *testing.T) {
	r, w := pipe(t)
	unix.Write(w, []byte("x"))
	var p Poller
	p.Add(r, In)
	if n := testing.AllocsPerRun(100, func() {
		p.Reset()
		p.Add(r, In)
		p.Add(w, Out)
		p.Wait(time.Second)
		One(r, In, Forever)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWait(b *testing.B) {
	r, w := pipe(b)
	unix.Write(w, []byte("x"))
	var p Poller
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		p.Add(r, In)
		p.Wait(Forever)
	}
}
