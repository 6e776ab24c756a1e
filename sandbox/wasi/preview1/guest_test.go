// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"containerd-shim-wazero/sandbox/wasi"
)

// guest is a module that exports, for every function of WASI, one that passes
// its parameters on, and one named with "loop:" in front that does so as often
// as its first parameter says. Tests are the program.
type guest struct {
	t      testing.TB
	module api.Module
	memory api.Memory
	system *wasi.System
	call   map[string]api.Function
	stack  [16]uint64
}

// newGuest starts a guest with 16 pages of memory on the host.
func newGuest(t testing.TB, module string, cfg wasi.Config) *guest {
	t.Helper()
	return newGuestOf(t, module, memSize/pageSize, cfg)
}

func newGuestOf(t testing.TB, module string, pages int, cfg wasi.Config) *guest {
	t.Helper()
	system, err := wasi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(system.Close)
	g := instantiate(t, guestModule(module, pages), func(rt wazero.Runtime, compiled wazero.CompiledModule) error {
		return Instantiate(context.Background(), rt, system, compiled)
	}, wazero.NewModuleConfig())
	g.system = system
	return g
}

func instantiate(t testing.TB, code []byte, host func(wazero.Runtime, wazero.CompiledModule) error,
	cfg wazero.ModuleConfig) *guest {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	t.Cleanup(func() { rt.Close(ctx) })
	compiled, err := rt.CompileModule(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	if err := host(rt, compiled); err != nil {
		t.Fatal(err)
	}
	m, err := rt.InstantiateModule(ctx, compiled, cfg.WithName("guest"))
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, module: m, memory: m.Memory(), call: make(map[string]api.Function)}
	for name := range m.ExportedFunctionDefinitions() {
		g.call[name] = m.ExportedFunction(name)
	}
	return g
}

// do calls a function and returns its errno.
func (g *guest) do(name string, params ...uint64) Errno {
	g.t.Helper()
	copy(g.stack[:], params)
	if err := g.call[name].CallWithStack(context.Background(), g.stack[:]); err != nil {
		g.t.Fatalf("%s%v: %v", name, params, err)
	}
	return Errno(g.stack[0])
}

// must calls a function that has to succeed.
func (g *guest) must(name string, params ...uint64) {
	g.t.Helper()
	if errno := g.do(name, params...); errno != ErrnoSuccess {
		g.t.Fatalf("%s%v: errno %d", name, params, errno)
	}
}

// expect calls a function that has to answer with an errno.
func (g *guest) expect(want Errno, name string, params ...uint64) {
	g.t.Helper()
	if got := g.do(name, params...); got != want {
		g.t.Errorf("%s%v: errno %d, want %d", name, params, got, want)
	}
}

// Places in the guest's memory that tests use.
const (
	resultAt = 0x100
	pathAt   = 0x1000
	path2At  = 0x3000
	dataAt   = 0x10000
	pageSize = 0x10000
	memSize  = 16 * pageSize
)

func (g *guest) put(at uint32, s string) (ptr, size uint64) {
	g.t.Helper()
	if !g.memory.WriteString(at, s) {
		g.t.Fatalf("%d bytes at %#x are outside of the memory", len(s), at)
	}
	return uint64(at), uint64(len(s))
}

func (g *guest) get(at, size uint32) string {
	g.t.Helper()
	b, ok := g.memory.Read(at, size)
	if !ok {
		g.t.Fatalf("%d bytes at %#x are outside of the memory", size, at)
	}
	return string(b)
}

func (g *guest) uint32(at uint32) uint32 { return le.Uint32([]byte(g.get(at, 4))) }
func (g *guest) uint64(at uint32) uint64 { return le.Uint64([]byte(g.get(at, 8))) }

// iovecs puts an array of vectors at a place: pairs of pointer and length.
func (g *guest) iovecs(at uint32, vectors ...[2]uint32) (ptr, count uint64) {
	for i, v := range vectors {
		g.memory.WriteUint32Le(at+uint32(i)*8, v[0])
		g.memory.WriteUint32Le(at+uint32(i)*8+4, v[1])
	}
	return uint64(at), uint64(len(vectors))
}

// open opens a path below a descriptor for reading and writing.
func (g *guest) open(dirfd uint64, path string, oflags uint64) (uint64, Errno) {
	g.t.Helper()
	ptr, size := g.put(pathAt, path)
	errno := g.do("path_open", dirfd, 0, ptr, size, oflags, rightFdRead|rightFdWrite, ^uint64(0), 0, resultAt)
	return uint64(g.uint32(resultAt)), errno
}

// opendir opens a directory for reading.
func (g *guest) opendir(dirfd uint64, path string) (uint64, Errno) {
	g.t.Helper()
	ptr, size := g.put(pathAt, path)
	errno := g.do("path_open", dirfd, 0, ptr, size, openDirectory, rightFdRead, ^uint64(0), 0, resultAt)
	return uint64(g.uint32(resultAt)), errno
}

// guestModule is the code of a guest for one of the two modules.
func guestModule(module string, pages int) []byte {
	var names []string
	var params []string
	for _, row := range table {
		if row.handle != nil && !(module == UnstableModuleName && row.sinceSnapshot1) {
			names, params = append(names, row.Name), append(params, row.params)
		}
	}
	n := len(names)
	types, imports, functions, exports, bodies := vector(2*n), vector(n), vector(2*n), vector(2*n+1), vector(2*n)
	for i := range names {
		types = append(types, functionType(params[i], true)...)
		imports = append(imports, name(module)...)
		imports = append(imports, name(names[i])...)
		imports = append(imports, 0)
		imports = append(imports, uleb(i)...)
	}
	for i := range names {
		types = append(types, functionType("i"+params[i], false)...)
		functions = append(append(functions, uleb(i)...), uleb(n+i)...)
		exports = append(append(append(exports, name(names[i])...), 0), uleb(n+2*i)...)
		exports = append(append(append(exports, name("loop:"+names[i])...), 0), uleb(n+2*i+1)...)
		bodies = append(append(bodies, forward(i, len(params[i]))...), loop(i, len(params[i]))...)
	}
	exports = append(append(exports, name("memory")...), 2, 0)
	code := []byte("\x00asm\x01\x00\x00\x00")
	code = append(code, section(1, types)...)
	code = append(code, section(2, imports)...)
	code = append(code, section(3, functions)...)
	code = append(code, section(5, append([]byte{1, 0}, uleb(pages)...))...)
	code = append(code, section(7, exports)...)
	return append(code, section(10, bodies)...)
}

// forward is a body that passes its parameters on.
func forward(index, params int) []byte {
	body := []byte{0}
	for i := range params {
		body = append(append(body, 0x20), uleb(i)...) // local.get
	}
	body = append(append(body, 0x10), uleb(index)...) // call
	return sized(append(body, 0x0b))
}

// loop is a body that does so as often as parameter 0 says.
func loop(index, params int) []byte {
	body := []byte{0, 0x03, 0x40} // loop
	for i := range params {
		body = append(append(body, 0x20), uleb(i+1)...)
	}
	body = append(append(body, 0x10), uleb(index)...)
	body = append(body, 0x1a)                                     // drop
	body = append(body, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0) // local.get 0; 1; sub; local.tee 0; br_if 0
	return sized(append(body, 0x0b, 0x0b))
}

func functionType(params string, result bool) []byte {
	b := append([]byte{0x60}, uleb(len(params))...)
	b = append(b, valueTypes(params)...)
	if result {
		return append(b, 1, api.ValueTypeI32)
	}
	return append(b, 0)
}

func section(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }
func sized(b []byte) []byte                  { return append(uleb(len(b)), b...) }
func name(s string) []byte                   { return sized([]byte(s)) }
func vector(n int) []byte                    { return uleb(n) }
func uleb(n int) []byte                      { return binary.AppendUvarint(nil, uint64(n)) }
