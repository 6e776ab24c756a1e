// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	clog "github.com/containerd/log"

	"containerd-shim-wazero/oci"
	"containerd-shim-wazero/oci/image"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// artifactModule is the file in a bundle that an artifact's module is copied to.
const artifactModule = "module.wasm"

// moduleHead is how many bytes of a module are looked at for its imports, which
// come before its code.
const moduleHead = 16 << 10

// ports returns what answers with exposed. It is asked for at once where the
// module, as far as head holds it, will want it: the answer takes about as long
// as the sandbox's process to come up, until which nobody else knows the module.
// A wrong guess costs a question too many, or the wait.
func (s *service) ports(ctx context.Context, c *config.Container, head func() []byte) func(context.Context) ([]policy.ListenRule, error) {
	if !c.Process.Network.Exposed || !engine.Accepts(head()) {
		return func(ctx context.Context) ([]policy.ListenRule, error) { return s.exposed(ctx, c) }
	}
	answer := sync.OnceValues(func() ([]policy.ListenRule, error) { return s.exposed(ctx, c) })
	go answer()
	return func(context.Context) ([]policy.ListenRule, error) { return answer() }
}

// exposed returns the addresses to listen on for the ports that the container's
// image exposes. What cannot be learnt only means none.
func (s *service) exposed(ctx context.Context, c *config.Container) ([]policy.ListenRule, error) {
	facts, err := s.facts(ctx, c.ID)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		clog.L.WithError(err).Warnf("container %s: its image could not be read, so none of its exposed ports is opened", c.ID)
		return nil, nil
	}
	return oci.Exposed(&c.Process.Network, facts.ExposedPorts), nil
}

// facts are what a container's image says.
func (s *service) facts(ctx context.Context, id string) (image.Facts, error) {
	store, err := image.Open(ctx, s.address, s.namespace)
	if err != nil {
		return image.Facts{}, err
	}
	defer store.Close()
	return store.Lookup(ctx, id)
}

// artifact fetches the module of an image that is a module into the bundle, and
// returns its path; "" for an image with files. Only that has any in its root.
func (s *service) artifact(ctx context.Context, id, bundle, root string, maxSize int64) (string, error) {
	if some, err := hasFiles(root); some || err != nil {
		return "", err
	}
	store, err := image.Open(ctx, s.address, s.namespace)
	if err != nil {
		return "", err
	}
	defer store.Close()
	facts, err := store.Lookup(ctx, id)
	if err != nil {
		return "", fmt.Errorf("look for the module of an image without files: %w", err)
	}
	if facts.Module == nil {
		return "", nil
	}
	path := filepath.Join(bundle, artifactModule)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	err = store.Copy(ctx, *facts.Module, f, maxSize)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return "", fmt.Errorf("fetch the image's module: %w", err)
	}
	return path, nil
}

// hasFiles reports whether there is anything in a folder.
func hasFiles(dir string) (bool, error) {
	f, err := os.Open(dir)
	if os.IsNotExist(err) {
		return true, nil // a root that is not there is the sandbox's to refuse
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return len(names) > 0, err
}
