// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package image is the form in which a compiled module lies in the cache: one
// file that a sandbox maps, with all it needs to run the module and nothing it
// would have to decode twice.
//
//	header | skeleton | prefix | suffix | names | … | code | memory
//
// The skeleton is the module without its function bodies. Prefix, code and
// suffix are wazero's own serialized entry, cut in three so that the machine
// code lies on a page boundary and can be mapped as it is. Memory is the
// initial contents of the linear memory, in pages, likewise to be mapped.
//
// An image is written by an unprivileged process which has just decoded hostile
// bytes; so whatever is read here is checked against the file's size.
package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Align is the boundary of what is mapped: the largest page size of the
// architectures we build for.
const Align = 64 << 10

// HeaderSize is the length of the header in bytes.
const HeaderSize = 256

// MaxErrorText bounds the sentence of an image that records a refusal.
const MaxErrorText = 4 << 10

const magic = "wzimage\x02"

// ErrDamaged says that an image is not what was written.
var ErrDamaged = errors.New("the compiled module in the cache is damaged")

// Part is one of the parts of an image.
type Part int

// The parts, in the order in which they lie in the file.
const (
	Skeleton Part = iota // the module without function bodies
	Prefix               // of wazero's entry: all before the machine code
	Suffix               // of wazero's entry: all behind the machine code
	Names                // function names, see package module
	Exports              // exported functions, see package module
	Runs                 // where the pages of Memory belong, see Run
	Code                 // machine code, aligned
	Memory               // initial memory, aligned
	parts
)

// aligned reports whether a part begins on a boundary, to be mapped.
func (p Part) aligned() bool { return p >= Code }

// Flags of a header.
const (
	// Refused marks a module that cannot be compiled; Skeleton holds the sentence.
	Refused = 1 << iota
	// HasMemory: the module defines a memory of its own.
	HasMemory
	// HasStart: the module has a start function, exported as StartExport.
	HasStart
	// Catches: the module catches exceptions.
	Catches
	// Accepts: the module accepts connections, of listening sockets that it
	// finds open, since it makes none.
	Accepts
)

// StartExport is the name under which a skeleton exports the module's start
// function, which must not run before the container is started.
const StartExport = "\x00start"

// Header describes an image.
type Header struct {
	Flags uint32
	// MinPages and MaxPages of the module's memory, of 64 KiB each.
	MinPages, MaxPages uint32
	// Stamp is the modification time that the file carries while it is as it
	// was written, in nanoseconds.
	Stamp int64
	// Size of the file in bytes.
	Size int64
	// sum is the CRC-32 of all behind the header: of the polynomial whose tables are
	// soonest made, since a sandbox checks one header in its life.
	sum  uint32
	part [parts]span
}

type span struct{ off, len int64 }

// Has reports whether a flag is set.
func (h *Header) Has(flag uint32) bool { return h.Flags&flag != 0 }

// Span returns where a part lies in the file.
func (h *Header) Span(p Part) (off, n int64) { return h.part[p].off, h.part[p].len }

// Parts are the contents of an image to be written.
type Parts [parts][]byte

// Write fills an empty file with an image. Flags, pages and stamp are taken
// from h, the rest of it is filled in.
func Write(f *os.File, h *Header, p *Parts) error {
	off := int64(HeaderSize)
	for i := range p {
		if Part(i).aligned() && len(p[i]) > 0 {
			off = alignUp(off)
		}
		h.part[i] = span{off, int64(len(p[i]))}
		off += int64(len(p[i]))
	}
	h.Size = off
	h.sum = 0
	at := int64(HeaderSize)
	for i, b := range p {
		h.sum = crc32.Update(h.sum, crc32.IEEETable, zeros[:max(0, h.part[i].off-at)])
		h.sum = crc32.Update(h.sum, crc32.IEEETable, b)
		if _, err := f.WriteAt(b, h.part[i].off); err != nil {
			return err
		}
		at = h.part[i].off + int64(len(b))
	}
	_, err := f.WriteAt(h.encode(), 0)
	return err
}

var zeros [Align]byte

func alignUp(n int64) int64 { return (n + Align - 1) &^ (Align - 1) }

func (h *Header) encode() []byte {
	b := make([]byte, 0, HeaderSize)
	b = append(b, magic...)
	le := binary.LittleEndian
	b = le.AppendUint32(b, h.Flags)
	b = le.AppendUint32(b, h.MinPages)
	b = le.AppendUint32(b, h.MaxPages)
	b = le.AppendUint32(b, h.sum)
	b = le.AppendUint64(b, uint64(h.Stamp))
	b = le.AppendUint64(b, uint64(h.Size))
	for _, s := range h.part {
		b = le.AppendUint64(b, uint64(s.off))
		b = le.AppendUint64(b, uint64(s.len))
	}
	b = b[:HeaderSize]
	le.PutUint32(b[HeaderSize-4:], crc32.ChecksumIEEE(b[:HeaderSize-4]))
	return b
}

// Decode reads a header of an image of the given size. The error wraps
// ErrDamaged.
func Decode(b []byte, size int64) (*Header, error) {
	le := binary.LittleEndian
	if len(b) < HeaderSize || string(b[:len(magic)]) != magic ||
		le.Uint32(b[HeaderSize-4:]) != crc32.ChecksumIEEE(b[:HeaderSize-4]) {
		return nil, fmt.Errorf("%w: no valid header", ErrDamaged)
	}
	b = b[len(magic):]
	h := &Header{
		Flags:    le.Uint32(b),
		MinPages: le.Uint32(b[4:]),
		MaxPages: le.Uint32(b[8:]),
		sum:      le.Uint32(b[12:]),
		Stamp:    int64(le.Uint64(b[16:])),
		Size:     int64(le.Uint64(b[24:])),
	}
	if h.Size != size {
		return nil, fmt.Errorf("%w: it has %d bytes and should have %d", ErrDamaged, size, h.Size)
	}
	b = b[32:]
	at := int64(HeaderSize)
	for i := range h.part {
		off, n := int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
		if off < at || n < 0 || off > size || n > size-off || Part(i).aligned() && n > 0 && off%Align != 0 {
			return nil, fmt.Errorf("%w: part %d lies outside of it", ErrDamaged, i)
		}
		h.part[i] = span{off, n}
		at = off + n
		b = b[16:]
	}
	return h, nil
}

// Read reads the header of an image.
func Read(f *os.File) (*Header, *unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, nil, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	var b [HeaderSize]byte
	if n, err := unix.Pread(int(f.Fd()), b[:], 0); err != nil {
		return nil, nil, &os.PathError{Op: "pread", Path: f.Name(), Err: err}
	} else if n < HeaderSize {
		return nil, nil, fmt.Errorf("%w: it ends in its header", ErrDamaged)
	}
	h, err := Decode(b[:], st.Size)
	return h, &st, err
}

// Verify reads the whole image and compares its checksum.
func Verify(f *os.File, h *Header) error {
	sum := uint32(0)
	buf := make([]byte, min(h.Size, 1<<20))
	for off := int64(HeaderSize); off < h.Size; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), h.Size-off)], off)
		if err != nil && !(err == io.EOF && n > 0) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		sum = crc32.Update(sum, crc32.IEEETable, buf[:n])
		off += int64(n)
	}
	if sum != h.sum {
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	return nil
}

// WriteRefusal fills an empty file with an image that only says why a module
// cannot be compiled.
func WriteRefusal(f *os.File, text string) error {
	h := &Header{Flags: Refused, Stamp: time.Now().UnixNano()}
	return Write(f, h, &Parts{Skeleton: []byte(text[:min(len(text), MaxErrorText)])})
}

// Refusal reads why the module of an image cannot be compiled.
func Refusal(f *os.File, h *Header) (string, error) {
	off, n := h.Span(Skeleton)
	b := make([]byte, min(n, MaxErrorText))
	_, err := f.ReadAt(b, off)
	return string(b), err
}
