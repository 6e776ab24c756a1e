// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/deploy/installer/config"
	"containerd-shim-wazero/deploy/installer/host"
	"containerd-shim-wazero/deploy/installer/kube"
	"containerd-shim-wazero/deploy/installer/replace"
)

// The label's values; a node that cannot has one of requirements.go.
const (
	ready    = "ready"
	failed   = "failed"
	removing = "removing"
	inUse    = "in-use"
)

type installer struct {
	node   *kube.Node
	layout config.Layout
	host   host.Host
	source string // the shim in the image
	binary string // the shim on the node
	// pending is a file that says that containerd has not read its
	// configuration yet. It is made before the configuration changes, and names
	// the folders that are made or removed with their files.
	pending string
}

// install may be ended anywhere and begun again.
func (i *installer) install(ctx context.Context) error {
	info, err := i.describe(ctx)
	if err != nil {
		return err
	}
	major, cannot := examine(info, runtime.GOARCH, i.source)
	if cannot != nil {
		log.Printf("this node cannot run wazero: %s", cannot.text)
		return i.node.Label(ctx, cannot.label)
	}
	if err := i.copyBinary(); err != nil {
		return err
	}
	if err := i.tidy(); err != nil {
		return err
	}
	changes, err := i.layout.Installation(major, i.binary)
	if err != nil {
		return err
	}
	if err := i.configure(ctx, changes); err != nil {
		return err
	}
	if configured, err := i.layout.Configured(); err != nil || !configured {
		return errors.Join(err, fmt.Errorf("%s has no handler after the restart: restart the service that makes it", i.host.Config))
	}
	if err := i.node.Label(ctx, ready); err != nil {
		return err
	}
	log.Print("this node runs wazero")
	return nil
}

// describe asks for the node until the kubelet knows its containerd's version, which
// it does not while that is being restarted.
func (i *installer) describe(ctx context.Context) (kube.Info, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, i.host.Patience, fmt.Errorf(
		"the kubelet does not know this node's containerd: see whether it answers: %w", errdefs.ErrUnavailable))
	defer cancel()
	for {
		info, err := i.node.Info(ctx)
		if err != nil || !strings.HasSuffix(info.ContainerRuntimeVersion, "://Unknown") {
			return info, err
		}
		select {
		case <-ctx.Done():
			return info, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// copyBinary replaces the binary as a whole: processes that run from the old one
// keep it, and what is started from now on is the new one.
func (i *installer) copyBinary() error {
	shim, err := os.ReadFile(i.source)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(i.binary); err != nil || !slices.Equal(old, shim) {
		log.Printf("copy the shim to %s", i.binary)
		if err := replace.File(i.binary, shim, 0o755); err != nil {
			return err
		}
	}
	// One that was there has kept its mode.
	info, err := os.Stat(i.binary)
	if err != nil || info.Mode()&0o111 != 0 {
		return err
	}
	log.Printf("make %s executable", i.binary)
	return os.Chmod(i.binary, 0o755)
}

// configure makes the changes and has containerd read them. If it does not come
// back with them they are undone.
func (i *installer) configure(ctx context.Context, changes []config.Change) error {
	_, err := os.Stat(i.pending)
	switch {
	case len(changes) > 0:
		err = replace.File(i.pending, folders(changes), 0o644)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	if err != nil {
		return err
	}
	for _, change := range changes {
		log.Print(change)
		if err := change.Apply(); err != nil {
			return err
		}
	}
	log.Print("restart containerd")
	if err := i.host.Restart(ctx); err != nil {
		if ctx.Err() != nil {
			return err // told to stop: the next one waits for it again
		}
		for _, change := range slices.Backward(changes) {
			err = errors.Join(err, change.Back().Apply())
		}
		return err
	}
	return os.Remove(i.pending)
}

// folders are those that the changes make or remove, one a line.
func folders(changes []config.Change) (text []byte) {
	for _, change := range changes {
		if folder := change.Folder(); folder != "" {
			text = append(text, folder+"\n"...)
		}
	}
	return text
}

// tidy removes what one that was killed has left: a file half written, and a folder
// without the file that it was made for.
func (i *installer) tidy() error {
	if err := i.layout.Clear(); err != nil {
		return err
	}
	text, err := os.ReadFile(i.pending)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for folder := range strings.Lines(string(text)) {
		_ = unix.Rmdir(strings.TrimSuffix(folder, "\n")) // one with a file in it stays
	}
	return err
}

// remove may be ended anywhere and begun again.
func (i *installer) remove(ctx context.Context) error {
	if err := i.unused(ctx, removing); err != nil {
		return err
	}
	if err := i.tidy(); err != nil {
		return err
	}
	changes, err := i.layout.Removal()
	if err != nil {
		return err
	}
	if err := i.configure(ctx, changes); err != nil {
		return err
	}
	// A pod may have come while the handler was still there.
	if err := i.unused(ctx, removing); err != nil {
		return err
	}
	for _, path := range []string{i.binary, replace.Next(i.binary), i.pending, replace.Next(i.pending)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := i.node.Label(ctx, ""); err != nil {
		return err
	}
	log.Print("wazero is removed from this node")
	return nil
}

// unused labels the node, so that no pod is sent here any more, and waits until
// those that are here have gone: containerd needs the binary for their end.
func (i *installer) unused(ctx context.Context, label string) error {
	for said := ""; ; {
		shims, err := i.host.Shims(i.binary)
		if err != nil {
			return err
		}
		now := label
		if shims > 0 {
			now = inUse
		}
		if now != said {
			if err := i.node.Label(ctx, now); err != nil {
				return err
			}
			said = now
			if shims > 0 {
				log.Printf("refused as yet: wazero pods run on this node (%d): delete them, and the removal goes on", shims)
			}
		}
		if shims == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// failed says so, and waits: to try again could end a working containerd again. So
// could to give up while the API server is away: the kubelet would start the pod again.
func (i *installer) failed(ctx context.Context, cause error) {
	if ctx.Err() != nil {
		return
	}
	log.Print(cause)
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := i.node.Label(ctx, failed)
		if err == nil {
			break
		}
		log.Print(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	<-ctx.Done()
}
