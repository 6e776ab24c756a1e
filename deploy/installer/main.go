// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command installer is the pod of deploy/: it puts the shim on its node and into
// containerd's configuration, or takes both away, labels the node and waits.
// Ending it changes nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/deploy/installer/config"
	"containerd-shim-wazero/deploy/installer/host"
	"containerd-shim-wazero/deploy/installer/kube"
)

const (
	shimName = "containerd-shim-wazero-v1"
	source   = "/" + shimName // in the image
	doneFile = "/run/wazero-installer/done"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 && os.Args[1] == "done" { // the readiness probe
		if _, err := os.Stat(doneFile); err != nil {
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("wazero-installer", flag.ContinueOnError)
	dir := flags.String("config", "/etc/containerd", "the `folder` of containerd's config.toml")
	generated := flags.Bool("generated", false, "config.toml is made from a template beside it (k3s, RKE2)")
	binary := flags.String("binary", "/opt/wazero", "the `folder` for the shim")
	if len(args) == 0 {
		args = []string{""}
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	node, err := kube.New(os.Getenv("NODE_NAME"), kube.Account)
	if err != nil {
		return err
	}
	i := &installer{
		node:   node,
		layout: config.Layout{Dir: *dir, Generated: *generated},
		host: host.Host{Proc: "/proc", Config: filepath.Join(*dir, "config.toml"),
			Settled: 3 * time.Second, Patience: 2 * time.Minute},
		source: source, binary: filepath.Join(*binary, shimName), pending: filepath.Join(*binary, "restart-pending"),
	}
	if err := os.Remove(doneFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch args[0] {
	case "install":
		err = i.install(ctx)
	case "remove":
		err = i.remove(ctx)
	default:
		return fmt.Errorf("say install or remove, not %q", args[0])
	}
	switch {
	case errors.Is(err, kube.ErrLabel):
		return err // the kubelet starts the pod again
	case err != nil:
		i.failed(ctx, err)
		return nil
	}
	if err := os.WriteFile(doneFile, nil, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
