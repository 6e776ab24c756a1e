// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		head string
		want error
	}{
		{"\x00asm\x01\x00\x00\x00", nil},
		{"", errEmpty},
		{"\x00as", errTruncated},
		{"\x00asm\x01\x00\x00", errTruncated},
		{"\x00asm\x0d\x00\x01\x00", errComponent},
		{"\x00asm\x0a\x00\x01\x00", errComponent},
		{"\x00asm\x02\x00\x00\x00", errVersion},
		{"(module)", errText},
		{"  \n(modu", errText},
		{";; text", errText},
		{"\x7fELF\x02\x01\x01\x00", errELF},
		{"#!/bin/s", errELF},
		{"PK\x03\x04abcd", errForeign},
		{"x", errForeign},
	}
	for _, tt := range tests {
		if got := Check([]byte(tt.head)); got != tt.want {
			t.Errorf("Check(%q) is %v, want %v", tt.head, got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain words":                  "plain words",
		"a\x1b[2J\nb\u202ec\xff":       "a [2J b c?",
		strings.Repeat("ü", maxText):   strings.Repeat("ü", maxText/2) + "…",
		"x" + strings.Repeat("ü", 600): "x" + strings.Repeat("ü", 499) + "…",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestLEB128(t *testing.T) {
	for _, v := range []uint32{0, 1, 127, 128, 300, 1 << 20, 1<<32 - 1} {
		r := reader{b: appendU32(nil, v)}
		if got := r.u32(); got != v || r.bad || len(r.b) != 0 {
			t.Errorf("u32 of %d is %d (%v)", v, got, r.bad)
		}
	}
	for text, want := range map[string]int64{
		"\x00": 0, "\x7f": -1, "\x40": -64, "\x3f": 63, "\xc0\x00": 64, "\x80\x80\x80\x80\x78": -1 << 31,
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f": -1 << 63,
	} {
		r := reader{b: []byte(text)}
		if got := r.s64(); got != want || r.bad {
			t.Errorf("s64 of %x is %d, want %d", text, got, want)
		}
	}
	for _, text := range []string{"", "\x80", "\xff\xff\xff\xff\x1f", "\x80\x80\x80\x80\x80\x00"} {
		r := reader{b: []byte(text)}
		if r.u32(); !r.bad {
			t.Errorf("u32 of %x is taken", text)
		}
	}
}

func testModule(t *testing.T, name string) []byte {
	t.Helper()
	bin, err := os.ReadFile(filepath.Join("../testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestStrip(t *testing.T) {
	bin := testModule(t, "segments")
	s, err := Strip(bin, "start")
	if err != nil {
		t.Fatal(err)
	}
	if !s.HasMemory || s.MinPages != 40 || s.MaxPages != maxPages || s.HasStart {
		t.Errorf("memory %v of %d to %d pages, start %v", s.HasMemory, s.MinPages, s.MaxPages, s.HasStart)
	}
	// Pages 0 and 1 meet; 2 follows them; 39 is the last one.
	want := []Run{{0, 0, 3 * pageSize}, {39 * pageSize, 3 * pageSize, pageSize}}
	if !slices.Equal(s.Runs, want) {
		t.Errorf("runs %v, want %v", s.Runs, want)
	}
	for at, want := range map[int]byte{0: 1, 65533: 0, 65534: 2, 65535: 4, 65536: 2, 65537: 2, 65538: 0, 131072: 5, 4*pageSize - 1: 8} {
		if s.Memory[at] != want {
			t.Errorf("byte %d is %d, want %d", at, s.Memory[at], want)
		}
	}
	if bytes.Contains(s.Skeleton, []byte("name")) {
		t.Error("the skeleton has names")
	}
}

func TestStripStart(t *testing.T) {
	s, err := Strip(testModule(t, "start"), "begin here")
	if err != nil {
		t.Fatal(err)
	}
	if !s.HasStart || !bytes.Contains(s.Skeleton, []byte("\x0abegin here\x00\x01")) {
		t.Errorf("the start function is not exported: %x", s.Skeleton)
	}
	names := map[uint32]string{1: "", 0: "", 9: ""}
	FunctionNames(s.Names, names)
	if names[0] != "exit" || names[1] != "begin" || names[9] != "" {
		t.Errorf("names %v", names)
	}
}

func TestImports(t *testing.T) {
	list, err := Imports(testModule(t, "imports"))
	want := []Import{{"wasi_snapshot_preview1", "sched_yield", 0}, {"env", "foo", 0}, {"env", "bar", 3}}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("imports %v, want %v (%v)", list, want, err)
	}
}

func TestFunctions(t *testing.T) {
	want := []Function{{"", 0, 0, 0}, {"a", 1, 2, 3}, {"\x00start", 300, 0, 1}}
	var list []byte
	for _, f := range want {
		list = AppendFunction(list, f)
	}
	var got []Function
	Functions(list, func(f Function) bool { got = append(got, f); return true })
	if !slices.Equal(got, want) {
		t.Errorf("functions %v, want %v", got, want)
	}
	Functions(list[:len(list)-1], func(f Function) bool { return true })
}

func TestCheckBounds(t *testing.T) {
	const head = "\x00asm\x01\x00\x00\x00"
	tests := []struct {
		name, bin string
		ok        bool
	}{
		{"no code", head, true},
		{"locals", head + "\x0a\x08\x01\x06\x01\xd0\x86\x03\x7f\x0b", true},                // 50,000
		{"too many", head + "\x0a\x08\x01\x06\x01\xd1\x86\x03\x7f\x0b", false},             // 50,001
		{"far too many", head + "\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b", false}, // 2³²-1
		{"in two", head + "\x0a\x0b\x01\x09\x02\xb0\xea\x01\x7f\xb0\xea\x01\x7e\x0b", false},
		{"outside", head + "\x0a\x03\x01\x06\x01", false},
		{"section outside", head + "\x00\xff\xff\xff\xff\x0f", false},
	}
	for _, tt := range tests {
		if err := CheckBounds([]byte(tt.bin)); (err == nil) != tt.ok {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
}

// Nothing that a module holds makes this package panic.
func FuzzStrip(f *testing.F) {
	names, err := filepath.Glob("../testdata/*.wasm")
	if err != nil || len(names) == 0 {
		f.Fatal("no modules", err)
	}
	for _, name := range names {
		bin, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bin)
	}
	f.Fuzz(func(t *testing.T, bin []byte) {
		_ = Check(bin[:min(len(bin), HeadSize)])
		_, _ = Imports(bin)
		_ = CheckBounds(bin)
		ImportsOnly(bin)
		FunctionNames(bin, map[uint32]string{0: ""})
		Functions(bin, func(Function) bool { return true })
		s, err := Strip(bin, "\x00start")
		if err != nil {
			return
		}
		if _, err := Strip(s.Skeleton, "\x00start"); err != nil {
			t.Errorf("the skeleton is malformed: %v", err)
		}
	})
}
