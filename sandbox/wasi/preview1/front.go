// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package preview1 is the front of WASI 0.1: wasi_snapshot_preview1, and
// wasi_unstable before it, as host functions of wazero on the capability core.
//
// Every pointer, length and count comes from a hostile guest: memory is reached
// only through bounds-checked slices (EFAULT), and nothing grows with a number
// that the guest made up. A function answers with an errno of the definition,
// which is the text called "the definition" throughout:
// https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md
package preview1

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/fs"
)

// The names of the modules that a guest imports.
const (
	ModuleName         = "wasi_snapshot_preview1"
	UnstableModuleName = "wasi_unstable"
)

// Function is a host function of one of the modules.
type Function struct {
	Name            string
	Params, Results []api.ValueType
	Call            api.GoModuleFunc
}

// Extension adds functions to wasi_snapshot_preview1, or replaces its own of the
// same name, for a guest that imports the given ones (by name).
type Extension func(f *Front, imports map[string]api.FunctionDefinition) []Function

// Front serves the calls of one guest.
type Front struct {
	sys      *wasi.System
	unstable bool

	mod    api.Module // whose memory mem is
	mem    api.Memory // nil if the guest exports none
	iovs   [][]byte
	stat   descriptor.Stat
	dirent fs.Entry
	slots  []pollSlot
	pollID uint32
}

// System is the capability core behind the front.
func (f *Front) System() *wasi.System { return f.sys }

// Instantiate registers the host modules that the guest imports functions from,
// with the functions that it imports.
func Instantiate(ctx context.Context, r wazero.Runtime, sys *wasi.System, guest wazero.CompiledModule,
	extensions ...Extension) error {
	for _, name := range []string{ModuleName, UnstableModuleName} {
		imports := importsFrom(guest, name)
		if len(imports) == 0 {
			continue
		}
		front := &Front{sys: sys, unstable: name == UnstableModuleName}
		functions := front.functions()
		if !front.unstable {
			for _, extend := range extensions {
				functions = append(functions, extend(front, imports)...)
			}
		}
		if err := register(ctx, r, name, functions, imports); err != nil {
			return fmt.Errorf("registering the host module %s: %w", name, err)
		}
	}
	return nil
}

func importsFrom(guest wazero.CompiledModule, module string) map[string]api.FunctionDefinition {
	imports := make(map[string]api.FunctionDefinition)
	for _, f := range guest.ImportedFunctions() {
		if from, name, _ := f.Import(); from == module {
			imports[name] = f
		}
	}
	return imports
}

// register exports the functions that are imported; of two with one name, the
// later.
func register(ctx context.Context, r wazero.Runtime, module string, functions []Function,
	imports map[string]api.FunctionDefinition) error {
	builder := r.NewHostModuleBuilder(module)
	last := make(map[string]int, len(functions))
	for i, f := range functions {
		last[f.Name] = i
	}
	for i, f := range functions {
		if imports[f.Name] != nil && last[f.Name] == i {
			builder.NewFunctionBuilder().WithGoModuleFunction(f.Call, f.Params, f.Results).Export(f.Name)
		}
	}
	_, err := builder.Instantiate(ctx)
	return err
}

// functions binds the front's own functions.
func (f *Front) functions() []Function {
	functions := make([]Function, 0, len(table)+1)
	for i := range table {
		row := &table[i]
		if row.handle == nil || f.unstable && row.sinceSnapshot1 {
			continue
		}
		functions = append(functions, Function{
			Name: row.Name, Params: valueTypes(row.params), Results: result, Call: f.bind(row.handle),
		})
	}
	return append(functions, Function{Name: "proc_exit", Params: valueTypes("i"), Call: procExit})
}

var result = []api.ValueType{api.ValueTypeI32}

// valueTypes spells a signature: i is a 32-bit parameter, l a 64-bit one.
func valueTypes(params string) []api.ValueType {
	types := make([]api.ValueType, len(params))
	for i, c := range params {
		types[i] = api.ValueTypeI32
		if c == 'l' {
			types[i] = api.ValueTypeI64
		}
	}
	return types
}

// handler is one function of the definition: parameters in order, each in the
// low bits of its element.
type handler func(f *Front, p []uint64) Errno

func (f *Front) bind(h handler) api.GoModuleFunc {
	return func(_ context.Context, mod api.Module, stack []uint64) {
		f.Attach(mod)
		stack[0] = uint64(h(f, stack))
	}
}

// Attach makes mod the guest whose memory the front reads and writes.
func (f *Front) Attach(mod api.Module) {
	if mod != f.mod {
		f.mod, f.mem = mod, mod.ExportedMemory("memory")
	}
}
