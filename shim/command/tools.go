// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/compile"
	"containerd-shim-wazero/shim/doctor"
)

const usage = `containerd-shim-wazero-v1 is started by containerd. By hand it has these commands:

  compile [-config FILE] MODULE...  compile modules into the node's cache ahead of their first use
  doctor                            look over this machine: what is missing, and how to mend it
  wasi                              print which WASI functions are supported
  -v                                print the version
`

// tools are the commands for people.
var tools = map[string]func(ctx context.Context, args []string) error{
	"compile": compileCommand,
	"doctor":  doctorCommand,
	"wasi":    wasiCommand,
	"help":    helpCommand,
	"-h":      helpCommand,
	"--help":  helpCommand,
}

// tool runs a command for people, if args are one.
func tool(args []string) (found bool, err error) {
	if len(args) == 0 {
		args = []string{"help"}
	}
	run := tools[args[0]]
	if run == nil {
		return false, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	return true, run(ctx, args[1:])
}

func helpCommand(context.Context, []string) error {
	_, err := io.WriteString(os.Stdout, usage)
	return err
}

func compileCommand(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("compile", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	config := fs.String("config", "", "")
	if err := fs.Parse(args); err != nil || fs.NArg() == 0 {
		return errors.New("usage: containerd-shim-wazero-v1 compile [-config FILE] MODULE")
	}
	set, err := settings.Load(*config)
	if err != nil {
		return err
	}
	c, err := cache.Open(set.CacheDir, cache.Options{Size: set.CacheMaxSize, Compile: compile.Process})
	if err != nil {
		return err
	}
	defer c.Close()
	return compile.Precompile(ctx, c, set.ModuleMaxSize, fs.Args(), os.Stdout)
}

func doctorCommand(ctx context.Context, _ []string) error {
	healthy, err := doctor.Examine(ctx, os.Stdout)
	if err == nil && !healthy {
		err = errors.New("something is missing: see above")
	}
	return err
}

func wasiCommand(context.Context, []string) error { return wasiTable(os.Stdout, text) }
