// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/image"
	"containerd-shim-wazero/sandbox/engine/module"
)

// TrapStatus is the exit status of a guest that trapped: that of an abort.
const TrapStatus = 134

// Guest is a module that is loaded and has not yet run an instruction.
type Guest struct {
	image  *mapped
	memory *memory
	module api.Module
	host   *host
	// calls are the functions to call; the last is the guest's entry point.
	calls []api.Function
}

// Load loads a module from its image and gives it what p grants. Nothing is
// compiled and nothing of the guest runs. It is to be called after privileges
// are dropped and before seccomp: code is mapped as executable here, and the
// directories and sockets that the guest finds open are opened. The image may
// be closed afterwards.
//
// limit gives the bytes that the guest's linear memory may have; nil is none.
// An InvalidError's text is the end of a sentence that begins with the module's
// name; image.ErrDamaged says that the image should be compiled again.
func Load(ctx context.Context, p *config.Process, img *os.File, limit Limit) (*Guest, error) {
	if limit == nil {
		limit = func() uint64 { return 0 }
	}
	defer runtime.KeepAlive(img)
	m, err := mapImage(int(img.Fd()))
	if err != nil {
		return nil, err
	}
	g := &Guest{image: m}
	calls, err := entryPoint(m, p.Module.Export)
	if err != nil {
		return nil, err
	}
	rt, err := newRuntime(ctx, m)
	if err != nil {
		return nil, err
	}
	compiled, err := rt.CompileModule(ctx, m.part(image.Skeleton))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	imports, err := imported(ctx, rt, m.part(image.Skeleton))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", image.ErrDamaged, err)
	}
	if g.host, err = newHost(ctx, rt, imports, p); err != nil {
		return nil, err
	}
	if m.Has(image.HasMemory) {
		if g.memory, err = newMemory(m, limit); err != nil {
			return nil, err
		}
		ctx = experimental.WithMemoryAllocator(ctx, g.memory)
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	if g.module, err = rt.InstantiateModule(ctx, compiled, config); err != nil {
		return nil, g.explain(rt, err)
	}
	return g, g.prepare(calls)
}

// prepare makes the exported functions that are to be called callable.
func (g *Guest) prepare(calls []string) error {
	stack, err := newStack()
	if err != nil {
		return err
	}
	for _, name := range calls {
		f := g.module.ExportedFunction(name)
		if f == nil {
			return fmt.Errorf("%w: it exports no %q", image.ErrDamaged, name)
		}
		// To catch an exception wazero copies the whole stack beforehand.
		if !g.image.Has(image.Catches) {
			useStack(f, stack)
		}
		g.calls = append(g.calls, f)
	}
	return nil
}

// entryPoint decides which functions are called, in order: the start section's,
// a reactor's _initialize, the wanted one.
func entryPoint(m *mapped, export string) (calls []string, err error) {
	want := export
	if want == "" {
		want = "_start"
	}
	var found *module.Function
	reactor := false
	module.Functions(m.part(image.Exports), func(f module.Function) bool {
		if f.Name == want {
			found = &f
		}
		reactor = reactor || f.Name == "_initialize" && f.Params == 0
		return true
	})
	switch {
	case found == nil && export != "":
		return nil, &InvalidError{fmt.Sprintf("exports no function %q", export)}
	case found == nil && reactor:
		return nil, &InvalidError{"is a reactor: it has no _start, name the function to call as in module.wasm#function"}
	case found == nil:
		return nil, &InvalidError{"has no entry point: it exports neither _start nor _initialize (name another function as in module.wasm#function)"}
	case found.Params > 0:
		return nil, &InvalidError{fmt.Sprintf("cannot be started at %q: the function takes parameters", want)}
	}
	if m.Has(image.HasStart) {
		calls = append(calls, image.StartExport)
	}
	if reactor && export != "" && export != "_initialize" && export != "_start" {
		calls = append(calls, "_initialize")
	}
	return append(calls, want), nil
}

// explain finds the imports that are missing, if that is why a module could not
// be instantiated.
func (g *Guest) explain(rt wazero.Runtime, err error) error {
	imports, bad := module.Imports(g.image.part(image.Skeleton))
	if bad != nil {
		return err
	}
	var missing []string
	for _, i := range imports {
		var ok bool
		if m := rt.Module(i.Module); m != nil && i.Kind == 0 {
			_, ok = m.ExportedFunctionDefinitions()[i.Name]
		}
		if !ok {
			missing = append(missing, i.Module+"."+i.Name)
		}
	}
	const named = 5
	switch n := len(missing); {
	case n == 0:
		return &InvalidError{"cannot be instantiated: " + err.Error()}
	case n > named:
		missing = append(missing[:named], fmt.Sprintf("%d more", n-named))
	}
	return &InvalidError{"imports " + strings.Join(missing, ", ") + ", which this runtime does not provide"}
}

// Run lets the guest run to its end and returns its exit status: what it gave
// to proc_exit, modulo 256, or TrapStatus.
func (g *Guest) Run(ctx context.Context) int {
	g.host.begin()
	for _, f := range g.calls {
		if status, ended := g.call(ctx, f); ended {
			return status
		}
	}
	return 0
}

func (g *Guest) call(ctx context.Context, f api.Function) (status int, ended bool) {
	_, err := f.Call(ctx)
	if err == nil {
		return 0, false
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return int(exit.ExitCode() & 0xff), true
	}
	g.reportTrap(err)
	return TrapStatus, true
}
