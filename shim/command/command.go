// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package command picks the part that a process of the shim's binary plays.
package command

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"containerd-shim-wazero/linux"
	"containerd-shim-wazero/sandbox"
	"containerd-shim-wazero/sandbox/compile"
	"containerd-shim-wazero/sandbox/role"
	"containerd-shim-wazero/sandbox/stage"
	"containerd-shim-wazero/shim"
	"containerd-shim-wazero/shim/bootstrap"
	_ "containerd-shim-wazero/shim/early" // start and delete
	"containerd-shim-wazero/shim/record"
	"containerd-shim-wazero/shim/version"
)

// Main runs the process's part and exits.
func Main() {
	switch os.Getenv(role.Env) {
	case role.Sandbox:
		stage.Main()
		return
	case role.Compile:
		compile.Main()
		return
	}
	if found, err := tool(os.Args[1:]); found {
		bootstrap.Exit(err)
	}
	bootstrap.Exit(run(os.Args[1:]))
}

func run(args []string) error {
	inv, err := bootstrap.Parse(args)
	if err != nil {
		return err
	}
	switch {
	case inv.Version:
		fmt.Printf("containerd-shim-wazero-v1:\n  Version:  %s\n  Revision: %s\n  Go version: %s\n", version.Version, version.Revision, runtime.Version())
		return nil
	case inv.Info:
		return shim.Info(os.Stdin, os.Stdout)
	case inv.Action == "delete":
		return bootstrap.Delete(context.Background(), inv, remove, os.Stdout)
	default:
		return shim.Run(inv)
	}
}

// remove clears away what a dead shim has left of a container of either kind.
func remove(ctx context.Context, inv *bootstrap.Invocation, bundle string, r record.Record) (record.Record, error) {
	if !r.Linux {
		return r, sandbox.Remove(ctx, bundle)
	}
	resp, err := linux.Remove(ctx, inv.Namespace, inv.Address, inv.ID, bundle)
	if err != nil {
		return r, err
	}
	r.Pid, r.Exited, r.Status, r.Time = int(resp.Pid), true, resp.ExitStatus, resp.ExitedAt.AsTime()
	return r, nil
}
