// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
)

// Stripped is a module without what only the compiler needs.
type Stripped struct {
	// Skeleton is a valid module with the same types, imports, exports,
	// memories, tables, globals and segments, in which each function body is
	// "unreachable" and the start function is an export instead.
	Skeleton []byte
	// Names are the functions' names: the contents of the name section's
	// subsection 1 (appendix 7.4.1), empty where the module has none.
	Names []byte
	// Memory is what the module says about a memory of its own.
	HasMemory          bool
	MinPages, MaxPages uint32
	// Memory and Runs are the initial contents of that memory, as far as they
	// are taken out of the skeleton.
	Memory   []byte
	Runs     []Run
	HasStart bool
}

// maxPages is what a 32-bit memory can have.
const maxPages = 1 << 16

// body is a function without locals that traps.
var body = []byte{3, 0, 0x00, 0x0b}

// Strip makes the skeleton of a module that wazero has validated. A start
// function is exported as startExport.
func Strip(bin []byte, startExport string) (*Stripped, error) {
	s := &stripper{Stripped: Stripped{Skeleton: make([]byte, 0, len(bin)/4+64)}}
	if err := s.scan(bin); err != nil {
		return nil, err
	}
	s.Skeleton = append(s.Skeleton, bin[:8]...)
	exported := !s.HasStart
	export := func() {
		if !exported {
			s.Skeleton = appendSection(s.Skeleton, secExport, s.exports(nil, startExport))
			exported = true
		}
	}
	err := sections(bin, func(sec section) error {
		switch sec.id {
		case secCustom:
			s.custom(sec)
		case secStart:
			export()
		case secExport:
			if s.HasStart {
				s.Skeleton = appendSection(s.Skeleton, secExport, s.exports(sec.body, startExport))
				exported = true
				return nil
			}
			s.Skeleton = append(s.Skeleton, sec.whole...)
		case secCode:
			return s.code(sec.body)
		case secData:
			s.data(sec)
		default:
			s.Skeleton = append(s.Skeleton, sec.whole...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &s.Stripped, nil
}

type stripper struct {
	Stripped
	start        uint32
	hasSource    bool
	hasDataCount bool
}

// scan finds what has to be known before the sections are written.
func (s *stripper) scan(bin []byte) error {
	return sections(bin, func(sec section) error {
		r := reader{b: sec.body}
		switch sec.id {
		case secStart:
			s.HasStart, s.start = true, r.u32()
		case secMemory:
			if r.count() == 0 {
				break
			}
			_, lo, hi, bounded := r.limits()
			if !bounded || hi > maxPages {
				hi = maxPages
			}
			s.HasMemory, s.MinPages, s.MaxPages = true, lo, hi
			if lo > maxPages {
				r.bad = true
			}
		case secDataCount:
			s.hasDataCount = true
		case secCustom:
			s.hasSource = s.hasSource || r.name() == ".debug_line"
		}
		return r.err()
	})
}

// custom keeps the sections that wazero reads source lines from, and takes the
// names out of the name section.
func (s *stripper) custom(sec section) {
	r := reader{b: sec.body}
	switch name := r.name(); name {
	case ".debug_info", ".debug_line", ".debug_str", ".debug_abbrev", ".debug_ranges":
		if s.hasSource {
			s.Skeleton = append(s.Skeleton, sec.whole...)
		}
	case "name":
		for len(r.b) > 0 {
			id := r.byte()
			if b := r.bytes(r.u32()); id == 1 && !r.bad {
				s.Names = b
			}
		}
	}
}

// exports appends the start function to an export section.
func (s *stripper) exports(body []byte, name string) []byte {
	r := reader{b: body}
	n := uint32(0)
	if len(body) > 0 {
		n = r.u32()
	}
	out := append(appendU32(nil, n+1), r.b...)
	return appendU32(append(appendName(out, name), 0), s.start)
}

func (s *stripper) code(sec []byte) error {
	r := reader{b: sec}
	n := r.count()
	if r.bad {
		return fmt.Errorf("%w: the code section's length is wrong", ErrMalformed)
	}
	out := make([]byte, 0, 5+len(body)*int(n))
	out = appendU32(out, n)
	for range n {
		out = append(out, body...)
	}
	s.Skeleton = appendSection(s.Skeleton, secCode, out)
	return nil
}
