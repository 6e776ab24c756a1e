// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package bootstrap is the command line containerd knows: `start`, which finds
// or makes the group's shim process and answers with its address, and `delete`,
// which clears away what a shim left behind.
//
// Both run at every container, so the package imports little and never waits
// for anything but its caller. It speaks every form of the protocol, from
// containerd 1.7 (flags, environment and a plain Any on stdin) to 2.4
// (BootstrapParams on stdin, BootstrapResult on stdout).
package bootstrap

import (
	"flag"
	"fmt"
	"io"
	"os"
)

// Invocation is how the shim's binary was called.
type Invocation struct {
	Namespace string
	ID        string
	// Address is containerd's gRPC socket, TTRPCAddress its ttrpc socket.
	Address      string
	TTRPCAddress string
	// Bundle is the bundle's folder, "" when it is the working directory.
	Bundle string
	// Socket is the path the shim process listens on (descriptor 3).
	Socket  string
	Debug   bool
	Version bool
	Info    bool
	// Action is "start", "delete", or "" for the shim process itself.
	Action string
}

// Parse reads the arguments, without the program's name, as every containerd
// gives them.
func Parse(args []string) (*Invocation, error) {
	inv := &Invocation{TTRPCAddress: os.Getenv("TTRPC_ADDRESS")}
	fs := flag.NewFlagSet("containerd-shim-wazero-v1", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&inv.Namespace, "namespace", "", "")
	fs.StringVar(&inv.ID, "id", "", "")
	fs.StringVar(&inv.Address, "address", "", "")
	fs.StringVar(&inv.Bundle, "bundle", "", "")
	fs.StringVar(&inv.Socket, "socket", "", "")
	fs.BoolVar(&inv.Debug, "debug", false, "")
	fs.BoolVar(&inv.Info, "info", false, "")
	for _, name := range []string{"v", "version"} {
		fs.BoolVar(&inv.Version, name, false, "")
	}
	// Older callers name a program to publish events with; ttrpc does that here.
	fs.String("publish-binary", "", "")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	inv.Action = fs.Arg(0)
	switch {
	case inv.Version || inv.Info:
		return inv, nil
	case inv.Action != "" && inv.Action != "start" && inv.Action != "delete":
		return nil, fmt.Errorf("unknown command %q", inv.Action)
	case inv.Namespace == "":
		return nil, fmt.Errorf("the flag -namespace is missing")
	case inv.ID == "":
		return nil, fmt.Errorf("the flag -id is missing")
	}
	return inv, nil
}

// Exit ends the process. containerd reads what is on stderr as the reason.
func Exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "containerd-shim-wazero-v1: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}
