// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package command picks the part that a process of the shim's binary plays.
package command

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"containerd-shim-wazero/sandbox"
	"containerd-shim-wazero/sandbox/compile"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/stage"
	"containerd-shim-wazero/shim"
	"containerd-shim-wazero/shim/bootstrap"
	"containerd-shim-wazero/shim/version"
)

// Main runs the process's part and exits.
func Main() {
	switch os.Getenv(config.RoleEnv) {
	case config.RoleSandbox:
		stage.Main()
		return
	case config.RoleCompile:
		compile.Main()
		return
	}
	if err := run(os.Args[1:]); err != nil {
		// containerd reads stderr as the reason.
		fmt.Fprintf(os.Stderr, "containerd-shim-wazero-v1: %v\n", err)
		os.Exit(1)
	}
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
	case inv.Action == "start":
		return bootstrap.Start(inv, os.Stdin, os.Stdout)
	case inv.Action == "delete":
		return bootstrap.Delete(context.Background(), inv, sandbox.Remove, os.Stdout)
	default:
		return shim.Run(inv)
	}
}
