// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestVectors(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	for _, count := range []int{0, 1, 2, few, few + 1, 100, MaxVectors, MaxVectors + 5} {
		out, in := make([][]byte, count), make([][]byte, count)
		for i := range out {
			out[i] = bytes.Repeat([]byte{byte(i)}, i%5)
			in[i] = make([]byte, i%5)
		}
		wrote, errno := Pwritev(fd, out, 0)
		if errno != 0 {
			t.Fatalf("%d vectors: %v", count, errno)
		}
		read, errno := Preadv(fd, in, 0)
		if errno != 0 || read != wrote {
			t.Fatalf("%d vectors: %d bytes written, %d read, %v", count, wrote, read, errno)
		}
		for i := range min(count, MaxVectors) {
			if !bytes.Equal(in[i], out[i]) {
				t.Errorf("%d vectors: vector %d differs", count, i)
			}
		}
		if _, errno := Readv(-1, in); errno != syscall.EBADF {
			t.Errorf("%d vectors from nowhere: %v, want EBADF", count, errno)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	for _, count := range []int{1, 2, few + 1} {
		iovs := make([][]byte, count)
		for i := range iovs {
			iovs[i] = make([]byte, 10)
		}
		if n := testing.AllocsPerRun(100, func() {
			Writev(fd, iovs)
			Readv(fd, iovs)
			Pwritev(fd, iovs, 1)
			Preadv(fd, iovs, 1)
		}); n != 0 {
			t.Errorf("%d vectors: %v allocations", count, n)
		}
	}
}
