// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func bundle(t *testing.T) (dir string, reader func() string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, fifo), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(filepath.Join(dir, fifo), unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return dir, func() string {
		buf := make([]byte, 1<<20)
		n, err := unix.Read(fd, buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
}

func TestOutput(t *testing.T) {
	o := new(Output)
	if n, err := o.Write([]byte("nowhere\n")); n != 8 || err != nil {
		t.Errorf("without a bundle: %d, %v", n, err)
	}
	a, readA := bundle(t)
	b, readB := bundle(t)
	for _, dir := range []string{a, b, b} {
		if err := o.Add(dir); err != nil {
			t.Fatal(err)
		}
	}
	write := func(line string) { _, _ = o.Write([]byte(line)) }
	write("to b\n")
	o.Remove(b)
	write("to a\n")
	o.Remove(a)
	o.Remove(a)
	write("nowhere\n")
	if got := readA(); got != "to a\n" {
		t.Errorf("a has %q", got)
	}
	if got := readB(); got != "to b\n" {
		t.Errorf("b has %q", got)
	}
}

// Nobody reads: lines are lost, never waited for, and later ones arrive.
func TestNeverBlocks(t *testing.T) {
	o := new(Output)
	dir, read := bundle(t)
	if err := o.Add(dir); err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 999) + "\n")
	for range 1000 {
		if n, err := o.Write(line); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if got := read(); len(got) == 0 || !bytes.HasSuffix([]byte(got), line) {
		t.Errorf("%d bytes, the last line not whole", len(got))
	}
	_, _ = o.Write([]byte("late\n"))
	if got := read(); got != "late\n" {
		t.Errorf("after reading: %q", got)
	}
}

func TestNotAFIFO(t *testing.T) {
	dir := t.TempDir()
	if err := new(Output).Add(dir); err == nil {
		t.Error("a missing FIFO is not reported")
	}
	if err := os.WriteFile(filepath.Join(dir, fifo), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := new(Output).Add(dir); err == nil {
		t.Error("a file is taken for a FIFO")
	}
}
