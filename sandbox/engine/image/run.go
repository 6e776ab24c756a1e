// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/binary"
	"fmt"

	"containerd-shim-wazero/sandbox/engine/module"
)

// Run is a run of pages of the part Memory. Its fields are multiples of Align,
// which is also the size of a WebAssembly page.
type Run = module.Run

const runSize = 12

// AppendRuns encodes runs.
func AppendRuns(b []byte, runs []Run) []byte {
	for _, r := range runs {
		b = binary.LittleEndian.AppendUint32(b, r.At)
		b = binary.LittleEndian.AppendUint32(b, r.From)
		b = binary.LittleEndian.AppendUint32(b, r.Len)
	}
	return b
}

// DecodeRuns decodes the runs of an image and checks them against its header:
// each lies within the smallest memory and within the part Memory.
func DecodeRuns(h *Header, b []byte) ([]Run, error) {
	_, have := h.Span(Memory)
	runs := make([]Run, 0, len(b)/runSize)
	for ; len(b) >= runSize; b = b[runSize:] {
		le := binary.LittleEndian
		r := Run{At: le.Uint32(b), From: le.Uint32(b[4:]), Len: le.Uint32(b[8:])}
		if (r.At|r.From|r.Len)%Align != 0 || r.Len == 0 ||
			uint64(r.At)+uint64(r.Len) > uint64(h.MinPages)<<16 ||
			int64(r.From)+int64(r.Len) > have {
			return nil, fmt.Errorf("%w: initial memory lies outside of it", ErrDamaged)
		}
		runs = append(runs, r)
	}
	return runs, nil
}
