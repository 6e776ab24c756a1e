// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

// FunctionNames finds the names of a few functions in the Names of a stripped
// module. It allocates for those it finds alone.
func FunctionNames(names []byte, want map[uint32]string) {
	r := reader{b: names}
	for n := r.u32(); n > 0 && !r.bad; n-- {
		index, name := r.u32(), r.bytes(r.u32())
		if _, ok := want[index]; ok && !r.bad {
			want[index] = string(name)
		}
	}
}
