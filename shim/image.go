// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	clog "github.com/containerd/log"

	"containerd-shim-wazero/oci/image"
)

// artifactModule is the file in a bundle that an artifact's module is copied to.
const artifactModule = "module.wasm"

// facts are what the image says that the bundle does not.
type facts struct {
	ports []string
	// module is the path of the artifact's module, "" for an image with files.
	module string
}

// lookup asks containerd for the image's facts, in the background: the answer
// comes with the returned function. What cannot be learnt only means no exposed
// ports; a module that is the image has to be had.
func (s *service) lookup(ctx context.Context, id, bundle string, maxSize int64) func() (facts, error) {
	type answer struct {
		facts
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		f, err := s.imageFacts(ctx, id, bundle, maxSize)
		answers <- answer{f, err}
	}()
	return func() (facts, error) {
		a := <-answers
		return a.facts, a.err
	}
}

func (s *service) imageFacts(ctx context.Context, id, bundle string, maxSize int64) (facts, error) {
	store, err := image.Open(s.address, s.namespace)
	if err != nil {
		return facts{}, err
	}
	defer store.Close()
	found, err := store.Lookup(ctx, id)
	if err != nil {
		if ctx.Err() != nil {
			return facts{}, err
		}
		clog.L.WithError(err).Warnf("container %s: its image could not be read, so no ports are preopened", id)
		return facts{}, nil
	}
	f := facts{ports: found.ExposedPorts}
	if found.Module == nil {
		return f, nil
	}
	f.module = filepath.Join(bundle, artifactModule)
	file, err := os.OpenFile(f.module, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return facts{}, err
	}
	err = store.Copy(ctx, *found.Module, file, maxSize)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(f.module)
		return facts{}, fmt.Errorf("fetch the image's module: %w", err)
	}
	return f, nil
}
