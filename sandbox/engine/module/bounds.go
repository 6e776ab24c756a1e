// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

import "fmt"

// maxLocals of a function, as in other runtimes and in browsers. A module can
// ask for four thousand million with five bytes.
const maxLocals = 50_000

// CheckBounds finds lengths that no module has and that would only cost memory
// to decode. It is no validation.
func CheckBounds(bin []byte) error {
	return sections(bin, func(sec section) error {
		if sec.id != secCode {
			return nil
		}
		r := reader{b: sec.body}
		for f := range r.count() {
			fn := reader{b: r.bytes(r.u32())}
			locals := uint64(0)
			for n := fn.count(); n > 0 && !fn.bad; n-- {
				locals += uint64(fn.u32())
				fn.valtype()
			}
			if locals > maxLocals {
				return fmt.Errorf("%w: function %d of its code has %d locals, more than %d", ErrMalformed, f, locals, maxLocals)
			}
			if fn.bad || r.bad {
				return fmt.Errorf("%w: the code section's lengths are wrong", ErrMalformed)
			}
		}
		return nil
	})
}
