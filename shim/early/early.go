// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package early answers `start` and `delete` while the program is still being
// initialised.
//
// The two run at every container and are done in microseconds, but they are the
// same binary as the shim process, whose libraries (protobuf and grpc above all)
// take a millisecond and more to initialise. Go initialises packages in the
// order of their import paths, each as soon as those it imports are done. This
// one sorts before github.com and google.golang.org and imports next to
// nothing, so its turn comes before theirs, and it exits. What decides is what
// package bootstrap imports: path/filepath, for one, would sort behind
// google.golang.org. Nothing depends on the order: if it changes, the same code
// runs a little later.
package early

import (
	"context"
	"os"

	"containerd-shim-wazero/sandbox/role"
	"containerd-shim-wazero/shim/bootstrap"
)

func init() {
	if os.Getenv(role.Env) != "" {
		return
	}
	inv, err := bootstrap.Parse(os.Args[1:])
	if err != nil {
		return // main says so
	}
	switch inv.Action {
	case "start":
		bootstrap.Exit(bootstrap.Start(inv, os.Stdin, os.Stdout))
	case "delete":
		// What a dead shim has left is main's to remove.
		if err := bootstrap.Delete(context.Background(), inv, nil, os.Stdout); err != bootstrap.ErrLeft {
			bootstrap.Exit(err)
		}
	}
}
