// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func write(t *testing.T, h *Header, p *Parts) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := Write(f, h, p); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	parts := &Parts{
		Skeleton: []byte("skeleton"), Prefix: []byte("prefix"), Names: []byte("names"),
		Runs: AppendRuns(nil, []Run{{At: Align, From: 0, Len: Align}}),
		Code: bytes.Repeat([]byte("c"), Align+1), Memory: bytes.Repeat([]byte("m"), Align),
	}
	f := write(t, &Header{Flags: HasMemory, MinPages: 2, MaxPages: 9, Stamp: 42}, parts)
	h, st, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if h.Flags != HasMemory || h.MinPages != 2 || h.MaxPages != 9 || h.Stamp != 42 || h.Size != st.Size {
		t.Errorf("header %+v of a file of %d bytes", h, st.Size)
	}
	for i, want := range parts {
		off, n := h.Span(Part(i))
		got := make([]byte, n)
		if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, want) {
			t.Errorf("part %d has %d bytes, want %d (%v)", i, len(got), len(want), err)
		}
		if Part(i).aligned() && off%Align != 0 {
			t.Errorf("part %d lies at %d", i, off)
		}
	}
	if err := Verify(f, h); err != nil {
		t.Error(err)
	}
	runs, err := DecodeRuns(h, parts[Runs])
	if err != nil || len(runs) != 1 || runs[0] != (Run{At: Align, Len: Align}) {
		t.Errorf("runs %v (%v)", runs, err)
	}
}

// Every byte counts.
func TestDamage(t *testing.T) {
	f := write(t, &Header{}, &Parts{Skeleton: []byte("skeleton"), Code: []byte("code")})
	_, st, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 9, 40, HeaderSize - 1, HeaderSize, HeaderSize + 100, Align, st.Size - 1} {
		var b [1]byte
		if _, err := f.ReadAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		f.WriteAt(b[:], off)
		h, _, err := Read(f)
		if err == nil {
			err = Verify(f, h)
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("a change at %d: %v", off, err)
		}
		b[0] ^= 1
		f.WriteAt(b[:], off)
	}
	for _, size := range []int64{0, 10, HeaderSize, st.Size - 1, st.Size + 1} {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(f); !errors.Is(err, ErrDamaged) {
			t.Errorf("a size of %d: %v", size, err)
		}
	}
}

func TestRunsOutside(t *testing.T) {
	h := &Header{MinPages: 2}
	h.part[Memory] = span{Align, 2 * Align}
	for _, r := range []Run{
		{At: 2 * Align, From: 0, Len: Align},
		{At: 0, From: 2 * Align, Len: Align},
		{At: 0, From: 0, Len: 3 * Align},
		{At: 1, From: 0, Len: Align},
		{At: 0, From: 4096, Len: Align},
		{At: 0, From: 0, Len: 0},
		{At: 0xffff0000, From: 0, Len: 2 * Align},
	} {
		if _, err := DecodeRuns(h, AppendRuns(nil, []Run{r})); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "image")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteRefusal(f, "is bad"); err != nil {
		t.Fatal(err)
	}
	h, _, err := Read(f)
	if err != nil || !h.Has(Refused) {
		t.Fatal(h, err)
	}
	if text, err := Refusal(f, h); text != "is bad" || err != nil {
		t.Errorf("%q (%v)", text, err)
	}
}

func TestKey(t *testing.T) {
	a, b := Key([32]byte{1}), Key([32]byte{2})
	if a == b || len(a) != 64 || a != Key([32]byte{1}) {
		t.Errorf("keys %s and %s", a, b)
	}
}
