// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

import "math/bits"

const pageSize = 64 << 10

// Run is a run of pages of the initial memory: Len bytes from offset From of
// Stripped.Memory belong at offset At.
type Run struct{ At, From, Len uint32 }

// maxHoles is how many bytes of zeros the initial memory may hold beside the
// segments' own: what a segment leaves free in its pages.
const maxHoles = 16 << 20

// data lays the active data segments out as the pages that they make, so that
// they can be mapped, and takes them out of the module. Where that cannot be
// done (an offset that is no constant, or lies outside) the section stays, and
// instantiating the module does what it says.
func (s *stripper) data(sec section) {
	segments, ok := readSegments(sec.body)
	if ok && s.HasMemory {
		ok = s.layOut(segments)
	}
	if !ok || !s.HasMemory {
		s.Skeleton = append(s.Skeleton, sec.whole...)
		return
	}
	if !s.hasDataCount { // no instruction can name a segment
		return
	}
	out := appendU32(nil, uint32(len(segments)))
	for _, g := range segments {
		out = append(out, 1) // passive; an active one has no bytes left after instantiation
		if !g.passive {
			g.bytes = nil
		}
		out = append(appendU32(out, uint32(len(g.bytes))), g.bytes...)
	}
	s.Skeleton = appendSection(s.Skeleton, secData, out)
}

type segment struct {
	passive bool
	at      uint32
	bytes   []byte
}

// readSegments reads a data section, 5.5.14. It is false if a segment is active
// at an offset other than a constant.
func readSegments(sec []byte) ([]segment, bool) {
	r := reader{b: sec}
	n := r.count()
	list := make([]segment, 0, n)
	for range n {
		var g segment
		switch r.u32() {
		case 0:
		case 1:
			g.passive = true
		case 2:
			if r.u32() != 0 {
				return nil, false
			}
		default:
			return nil, false
		}
		if !g.passive {
			const opI32Const, opEnd = 0x41, 0x0b
			if r.byte() != opI32Const {
				return nil, false
			}
			g.at = uint32(r.s64())
			if r.byte() != opEnd {
				return nil, false
			}
		}
		g.bytes = r.bytes(r.u32())
		list = append(list, g)
	}
	return list, !r.bad && len(r.b) == 0
}

// layOut fills Memory and Runs. It is false where a segment lies outside of the
// smallest memory, or where they are strewn too widely.
func (s *stripper) layOut(segments []segment) bool {
	size := uint64(s.MinPages) * pageSize
	touched := make([]uint64, (s.MinPages+63)/64)
	total, pages := uint64(0), uint64(0)
	for _, g := range segments {
		if g.passive {
			continue
		}
		end := uint64(g.at) + uint64(len(g.bytes))
		if end > size {
			return false
		}
		total += uint64(len(g.bytes))
		for p := uint64(g.at) / pageSize; p*pageSize < end; p++ {
			touched[p/64] |= 1 << (p % 64)
		}
	}
	for _, w := range touched {
		pages += uint64(bits.OnesCount64(w))
	}
	if pages*pageSize > total+maxHoles {
		return false
	}
	s.Runs = runs(touched)
	s.Memory = make([]byte, pages*pageSize)
	for _, g := range segments {
		if !g.passive {
			s.put(g)
		}
	}
	return true
}

// runs finds the runs of pages in a bit set.
func runs(touched []uint64) (list []Run) {
	from := uint32(0)
	for p := range uint32(len(touched) * 64) {
		if touched[p/64]>>(p%64)&1 == 0 {
			continue
		}
		at := p * pageSize
		if n := len(list); n > 0 && list[n-1].At+list[n-1].Len == at {
			list[n-1].Len += pageSize
		} else {
			list = append(list, Run{At: at, From: from, Len: pageSize})
		}
		from += pageSize
	}
	return list
}

// put copies a segment to where its pages lie in Memory. A segment's pages are
// neighbours, so it lies in one run.
func (s *stripper) put(g segment) {
	if len(g.bytes) == 0 {
		return
	}
	lo, hi := 0, len(s.Runs)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; s.Runs[mid].At <= g.at {
			lo = mid
		} else {
			hi = mid
		}
	}
	r := s.Runs[lo]
	copy(s.Memory[r.From+g.at-r.At:], g.bytes)
}
