// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package module reads and rewrites WebAssembly binaries as far as the engine
// needs it beside wazero: what kind of file it is, what a module imports and
// exports, and the module without its function bodies.
//
// Numbers refer to the binary format of the core specification, version 2.0,
// chapter 5.
package module

import (
	"errors"
	"fmt"
)

// Section ids, 5.5.2.
const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunction  = 3
	secMemory    = 5
	secExport    = 7
	secStart     = 8
	secElement   = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
	secTag       = 13
)

// ErrMalformed says that a binary does not have the form it should.
var ErrMalformed = errors.New("malformed module")

// reader walks over a binary. After the first thing that does not fit, bad is
// set and all further reads give zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) err() error {
	if r.bad {
		return ErrMalformed
	}
	return nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// u32 reads an unsigned LEB128, 5.2.2.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			if v > 0xffffffff {
				r.bad, r.b = true, nil
				return 0
			}
			return uint32(v)
		}
	}
	r.bad, r.b = true, nil
	return 0
}

// s64 reads a signed LEB128 of any width up to 64 bits.
func (r *reader) s64() int64 {
	var v int64
	for shift := 0; shift < 70; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		if c&0x80 == 0 {
			if shift < 57 && c&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.bad, r.b = true, nil
	return 0
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }

// count reads the length of a vector whose elements take at least one byte.
func (r *reader) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

// limits reads the limits of a table or memory, 5.3.7.
func (r *reader) limits() (flags byte, lo, hi uint32, bounded bool) {
	flags = r.byte()
	lo = r.u32()
	if bounded = flags&1 != 0; bounded {
		hi = r.u32()
	}
	return flags, lo, hi, bounded
}

// valtype skips a value type; a typed reference has a heap type behind it.
func (r *reader) valtype() byte {
	c := r.byte()
	if c == 0x63 || c == 0x64 {
		r.s64()
	}
	return c
}

// section is one section of a module; whole is it with its id and length.
type section struct {
	id          byte
	body, whole []byte
}

// sections calls f for each section of a module.
func sections(bin []byte, f func(s section) error) error {
	if len(bin) < 8 {
		return fmt.Errorf("%w: it is shorter than its header", ErrMalformed)
	}
	r := reader{b: bin[8:]}
	for len(r.b) > 0 {
		start := r.b
		id := r.byte()
		body := r.bytes(r.u32())
		if r.bad {
			return fmt.Errorf("%w: it ends within a section", ErrMalformed)
		}
		if err := f(section{id, body, start[:len(start)-len(r.b)]}); err != nil {
			return err
		}
	}
	return nil
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}

func appendSection(b []byte, id byte, body []byte) []byte {
	return append(appendU32(append(b, id), uint32(len(body))), body...)
}
