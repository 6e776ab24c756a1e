// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command wasip1exec runs a WASI 0.1 module on the sandbox's WASI host, in this
// process and with the whole file system: what go_wasip1_wasm_exec does with
// other runtimes. It is a test tool.
//
//	GOOS=wasip1 GOARCH=wasm go test -exec wasip1exec os
//
// With WASIP1EXEC_HOST=wazero the module runs on wazero's own host instead, to
// compare.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: wasip1exec module.wasm [argument...]")
		os.Exit(2)
	}
	code, err := run(context.Background(), os.Args[1], os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "wasip1exec: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, path string, args []string) (int, error) {
	module, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	compiled, err := rt.CompileModule(ctx, module)
	if err != nil {
		return 0, fmt.Errorf("compiling %s: %w", path, err)
	}
	config := wazero.NewModuleConfig().WithName("")
	if os.Getenv("WASIP1EXEC_HOST") == "wazero" {
		config = wazerosOwn(config, args)
		_, err = wasi_snapshot_preview1.Instantiate(ctx, rt)
	} else {
		err = instantiate(ctx, rt, compiled, args)
	}
	if err != nil {
		return 0, err
	}
	_, err = rt.InstantiateModule(ctx, compiled, config)
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return int(exit.ExitCode()), nil
	}
	return 0, err
}

func instantiate(ctx context.Context, rt wazero.Runtime, guest wazero.CompiledModule, args []string) error {
	system, err := wasi.New(wasi.Config{
		Args: args, Env: environment(), Stdin: 0, Stdout: 1, Stderr: 2,
		Preopens: []wasi.Preopen{{Path: "/", Name: "/", Root: true}},
	})
	if err != nil {
		return err
	}
	return preview1.Instantiate(ctx, rt, system, guest)
}

// environment is what the guest needs of this process's: where it is, which Go
// reads from PWD, and where Go lies.
func environment() (env []string) {
	for _, key := range []string{"PWD", "PATH", "TMPDIR", "HOME", "GOROOT"} {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

func wazerosOwn(config wazero.ModuleConfig, args []string) wazero.ModuleConfig {
	for _, key := range []string{"PWD", "PATH", "TMPDIR", "HOME", "GOROOT"} {
		if value, ok := os.LookupEnv(key); ok {
			config = config.WithEnv(key, value)
		}
	}
	return config.WithArgs(args...).WithStdin(os.Stdin).WithStdout(os.Stdout).WithStderr(os.Stderr).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep().
		WithFSConfig(wazero.NewFSConfig().WithDirMount("/", "/"))
}
