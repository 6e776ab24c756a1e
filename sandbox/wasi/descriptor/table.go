// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package descriptor

import (
	"math/bits"
	"syscall"
)

// MaxLimit is the largest limit that a table can have.
const MaxLimit = 1 << 20

// Entry is one numbered descriptor with what a front has narrowed on it.
type Entry struct {
	Descriptor

	// Dropped and DroppedInheriting are rights that the guest gave up, on the
	// descriptor and on what is opened through it, in the front's own bits.
	Dropped, DroppedInheriting uint64
	// Name is the name under which the guest finds a preopened descriptor.
	Name string
	// Preopen says that the descriptor was there from the beginning.
	Preopen bool
}

// Table numbers the descriptors of one guest from zero. A new one takes the
// lowest free number, as POSIX has it.
type Table struct {
	entries []Entry
	used    []uint64 // one bit per number: taken
	low     int      // no word of used before this one has a free bit
	open    int
	limit   int
}

// NewTable makes an empty table that holds at most limit descriptors, whose
// numbers are all below limit.
func NewTable(limit int) *Table {
	return &Table{limit: max(0, min(limit, MaxLimit))}
}

// Len is the number of open descriptors.
func (t *Table) Len() int { return t.open }

// Limit is the number of descriptors that may be open at once.
func (t *Table) Limit() int { return t.limit }

// Size is one more than the largest number that was ever in use.
func (t *Table) Size() int { return len(t.entries) }

// Get finds a descriptor; the pointer holds until the table changes.
func (t *Table) Get(fd int32) (*Entry, bool) {
	if uint32(fd) >= uint32(len(t.entries)) {
		return nil, false
	}
	e := &t.entries[fd]
	return e, e.Descriptor != nil
}

// Insert gives a descriptor the lowest free number. At the limit it answers
// EMFILE, and the caller still owns the descriptor.
func (t *Table) Insert(d Descriptor) (int32, Errno) {
	return t.InsertEntry(Entry{Descriptor: d})
}

// InsertEntry is Insert for a descriptor with a name or with narrowed rights.
func (t *Table) InsertEntry(e Entry) (int32, Errno) {
	fd := t.lowest()
	if fd >= t.limit {
		return -1, syscall.EMFILE
	}
	t.put(fd, e)
	return int32(fd), 0
}

// Full says that no further descriptor can be inserted.
func (t *Table) Full() bool { return t.open >= t.limit }

// Close closes a descriptor and frees its number, even when closing fails.
func (t *Table) Close(fd int32) Errno {
	e, ok := t.Get(fd)
	if !ok {
		return syscall.EBADF
	}
	d := e.Descriptor
	t.clear(int(fd))
	return d.Close()
}

// Renumber moves a descriptor to another number and closes the one that was
// there, which must be open; a descriptor moved to its own number stays.
func (t *Table) Renumber(from, to int32) Errno {
	src, ok := t.Get(from)
	if !ok {
		return syscall.EBADF
	}
	dst, ok := t.Get(to)
	if !ok {
		return syscall.EBADF
	}
	if from == to {
		return 0
	}
	old := dst.Descriptor
	*dst = *src
	t.clear(int(from))
	old.Close() // the number is taken over whatever the old file says
	return 0
}

// CloseAll closes every descriptor.
func (t *Table) CloseAll() {
	for fd := range t.entries {
		if t.entries[fd].Descriptor != nil {
			t.Close(int32(fd))
		}
	}
}

func (t *Table) lowest() int {
	for ; t.low < len(t.used); t.low++ {
		if w := t.used[t.low]; w != ^uint64(0) {
			return t.low*64 + bits.TrailingZeros64(^w)
		}
	}
	return t.low * 64
}

func (t *Table) put(fd int, e Entry) {
	if fd/64 >= len(t.used) {
		t.used = append(t.used, 0)
	}
	for fd >= len(t.entries) {
		t.entries = append(t.entries, Entry{})
	}
	t.used[fd/64] |= 1 << (fd % 64)
	t.entries[fd] = e
	t.open++
}

func (t *Table) clear(fd int) {
	t.entries[fd] = Entry{}
	t.used[fd/64] &^= 1 << (fd % 64)
	t.low = min(t.low, fd/64)
	t.open--
}
