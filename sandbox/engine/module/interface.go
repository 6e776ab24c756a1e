// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

// Import is one thing that a module imports.
type Import struct {
	Module, Name string
	// Kind is 0 for a function, 1 table, 2 memory, 3 global, 4 tag.
	Kind byte
}

// Imports lists what a module imports.
func Imports(bin []byte) ([]Import, error) {
	var list []Import
	err := sections(bin, func(sec section) error {
		if sec.id != secImport {
			return nil
		}
		r := reader{b: sec.body}
		for n := r.count(); n > 0 && !r.bad; n-- {
			i := Import{Module: r.name(), Name: r.name(), Kind: r.byte()}
			switch i.Kind {
			case 0:
				r.u32()
			case 1:
				r.valtype()
				r.limits()
			case 2:
				r.limits()
			case 3:
				r.valtype()
				r.byte()
			case 4:
				r.byte()
				r.u32()
			default:
				r.bad = true
			}
			list = append(list, i)
		}
		return r.err()
	})
	return list, err
}

// Function is a function that a module exports.
type Function struct {
	Name            string
	Index           uint32
	Params, Results int
}

// AppendFunction encodes a function for the image's list of exports.
func AppendFunction(b []byte, f Function) []byte {
	b = appendU32(appendName(b, f.Name), f.Index)
	return appendU32(appendU32(b, uint32(f.Params)), uint32(f.Results))
}

// Functions calls f for each function of an image's list until it returns false.
func Functions(list []byte, f func(Function) bool) {
	r := reader{b: list}
	for len(r.b) > 0 {
		fn := Function{r.name(), r.u32(), int(r.u32()), int(r.u32())}
		if r.bad || !f(fn) {
			return
		}
	}
}

// ImportsOnly is a module with the types and imports of another.
func ImportsOnly(bin []byte) []byte {
	out := append([]byte(nil), bin[:min(len(bin), HeadSize)]...)
	_ = sections(bin, func(sec section) error {
		if sec.id == secType || sec.id == secImport {
			out = append(out, sec.whole...)
		}
		return nil
	})
	return out
}
