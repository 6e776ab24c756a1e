// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/testsuite"
)

// repository is the root of the repository, from here.
const repository = "../../../"

// TestSuite is the public test suite for WASI 0.1, all of it.
func TestSuite(t *testing.T) {
	folder := testsuite.Folder(t, repository+"../shared/conformance/wasi-testsuite-p1")
	cache := wazero.NewCompilationCache()
	defer cache.Close(context.Background())
	n := testsuite.Run(t, folder, func(t *testing.T, c testsuite.Command) *testsuite.Process {
		return start(t, cache, c)
	})
	t.Logf("%d tests", n)
}

// TestConformance is the project's own tests, in C and in Rust.
func TestConformance(t *testing.T) {
	cache := wazero.NewCompilationCache()
	defer cache.Close(context.Background())
	testsuite.Run(t, testsuite.Build(t, "../conformance"), func(t *testing.T, c testsuite.Command) *testsuite.Process {
		return start(t, cache, c)
	})
}

// start runs a guest in this process.
func start(t *testing.T, cache wazero.CompilationCache, c testsuite.Command) *testsuite.Process {
	module, err := os.ReadFile(c.Module)
	if err != nil {
		t.Fatal(err)
	}
	stdin, toStdin := pipe(t)
	fromStdout, stdout := pipe(t)
	fromStderr, stderr := pipe(t)
	cfg := wasi.Config{
		Args: c.Args, Env: c.Env,
		Stdin: take(t, stdin), Stdout: take(t, stdout), Stderr: take(t, stderr),
	}
	if c.Root != "" {
		cfg.Preopens = []wasi.Preopen{{Path: c.Root, Name: "/", Root: true}}
	}
	system, err := wasi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		code int
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		code, err := run(cache, system, module)
		system.Close()
		ended <- outcome{code, err}
	}()
	return &testsuite.Process{
		Stdin: toStdin, Stdout: fromStdout, Stderr: fromStderr,
		Wait: func() (int, error) {
			o := <-ended
			return o.code, o.err
		},
	}
}

// run runs a module's _start to its end.
func run(cache wazero.CompilationCache, system *wasi.System, module []byte) (int, error) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	defer rt.Close(ctx)
	compiled, err := rt.CompileModule(ctx, module)
	if err != nil {
		return 0, err
	}
	if err := Instantiate(ctx, rt, system, compiled); err != nil {
		return 0, err
	}
	_, err = rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return int(exit.ExitCode()), nil
	}
	return 0, err
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// take makes a descriptor for the guest of a file, and closes the file.
func take(t testing.TB, f *os.File) int {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	return fd
}
