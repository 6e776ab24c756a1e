// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package descriptor

import (
	"syscall"
	"testing"
)

type fake struct{ closed int }

func (*fake) Kind() Kind     { return RegularFile }
func (f *fake) Close() Errno { f.closed++; return 0 }

func insert(t *testing.T, table *Table) (int32, *fake) {
	t.Helper()
	f := new(fake)
	fd, errno := table.Insert(f)
	if errno != 0 {
		t.Fatalf("insert: %v", errno)
	}
	return fd, f
}

func TestInsertTakesTheLowestNumber(t *testing.T) {
	table := NewTable(1000)
	for i := range int32(200) {
		if fd, _ := insert(t, table); fd != i {
			t.Fatalf("descriptor %d got number %d", i, fd)
		}
	}
	for _, fd := range []int32{150, 3, 70} {
		if errno := table.Close(fd); errno != 0 {
			t.Fatalf("close %d: %v", fd, errno)
		}
	}
	for _, want := range []int32{3, 70, 150, 200} {
		if fd, _ := insert(t, table); fd != want {
			t.Errorf("got number %d, want %d", fd, want)
		}
	}
}

func TestLimit(t *testing.T) {
	table := NewTable(3)
	for range 3 {
		insert(t, table)
	}
	if !table.Full() {
		t.Error("the table is not full")
	}
	if _, errno := table.Insert(new(fake)); errno != syscall.EMFILE {
		t.Errorf("insert beyond the limit: %v, want EMFILE", errno)
	}
	table.Close(1)
	if fd, _ := insert(t, table); fd != 1 {
		t.Errorf("got number %d, want 1", fd)
	}
}

func TestBadNumbers(t *testing.T) {
	table := NewTable(10)
	insert(t, table)
	for _, fd := range []int32{-1, 1, 63, 64, 1 << 30, -1 << 31} {
		if _, ok := table.Get(fd); ok {
			t.Errorf("get %d succeeded", fd)
		}
		if errno := table.Close(fd); errno != syscall.EBADF {
			t.Errorf("close %d: %v, want EBADF", fd, errno)
		}
		if errno := table.Renumber(fd, 0); errno != syscall.EBADF {
			t.Errorf("renumber %d to 0: %v, want EBADF", fd, errno)
		}
		if errno := table.Renumber(0, fd); errno != syscall.EBADF {
			t.Errorf("renumber 0 to %d: %v, want EBADF", fd, errno)
		}
	}
}

func TestRenumber(t *testing.T) {
	table := NewTable(10)
	_, a := insert(t, table)
	_, b := insert(t, table)
	if errno := table.Renumber(1, 1); errno != 0 || b.closed != 0 {
		t.Fatalf("renumber to itself: %v, closed %d times", errno, b.closed)
	}
	if errno := table.Renumber(1, 0); errno != 0 {
		t.Fatal(errno)
	}
	if a.closed != 1 || b.closed != 0 || table.Len() != 1 {
		t.Errorf("closed %d and %d times, %d left; want 1, 0, 1", a.closed, b.closed, table.Len())
	}
	if e, ok := table.Get(0); !ok || e.Descriptor != b {
		t.Error("number 0 is not the moved descriptor")
	}
	table.CloseAll()
	if b.closed != 1 || table.Len() != 0 {
		t.Errorf("after CloseAll: closed %d times, %d left", b.closed, table.Len())
	}
}

func BenchmarkInsertClose(b *testing.B) {
	table := NewTable(MaxLimit)
	d := new(fake)
	for range 10000 {
		table.Insert(d)
	}
	b.ReportAllocs()
	for b.Loop() {
		table.Close(3)
		table.Insert(d)
		fd, _ := table.Insert(d)
		table.Close(fd)
	}
}
