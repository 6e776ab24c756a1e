// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
)

// defaultSnapshotter is asked where the container's record names none: dockerd
// leaves it out.
const defaultSnapshotter = "overlayfs"

// Lookup learns what the image of a container says. A container, an image or a
// piece of content that is not there is no error: then the image says nothing.
//
// An image's name is a tag that may since have moved. So where the layers below
// the container's snapshot are known, an image with other layers is not the
// container's; the configuration with those layers is then looked for.
//
// Questions that do not need each other's answers are asked at once: a container
// is not created before the last of them.
func (s *Store) Lookup(ctx context.Context, containerID string) (Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	// Where its record says nothing else, and mostly where it does.
	guess := snapshot{defaultSnapshotter, containerID}
	layers := begin(func() (string, error) { return s.layers(ctx, guess) })
	c, err := s.container(ctx, containerID)
	if err != nil || c == nil {
		return Facts{}, err
	}
	snap := snapshot{cmp.Or(c.snapshotter, guess.snapshotter), cmp.Or(c.snapshotKey, guess.key)}
	if snap != guess {
		layers = begin(func() (string, error) { return s.layers(ctx, snap) })
	}
	target, mediaType, err := s.target(ctx, c.image)
	if err != nil {
		return Facts{}, err
	}
	chain, err := layers()
	if err != nil {
		return Facts{}, err
	}
	if target != nil {
		facts, err := s.find(ctx, *target, mediaType, chain, maxDepth)
		if err != nil {
			return Facts{}, fmt.Errorf("image %.200q: %w", c.image, err)
		}
		if facts != nil {
			return *facts, nil
		}
	}
	return s.byLayers(ctx, snap.snapshotter, chain)
}

// begin calls f at once, beside what its caller does, and returns what waits for
// the result.
func begin[T any](f func() (T, error)) (wait func() (T, error)) {
	wait = sync.OnceValues(f)
	go wait()
	return wait
}

// find goes from an index or a manifest to the first image in it that has the
// layers, or to the first at all where they are not known; nil if there is none.
func (s *Store) find(ctx context.Context, b Blob, mediaType, layers string, depth int) (*Facts, error) {
	if depth == 0 || !isIndex(mediaType) && !isManifest(mediaType) {
		return nil, nil
	}
	data, err := s.read(ctx, b)
	if errdefs.IsNotFound(err) { // of another platform, and not pulled
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if isManifest(mediaType) {
		return s.manifest(ctx, data, layers)
	}
	list, err := parseIndex(data)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		facts, err := s.find(ctx, d.Blob, d.MediaType, layers, depth-1)
		if facts != nil || err != nil {
			return facts, err
		}
	}
	return nil, nil
}

func (s *Store) manifest(ctx context.Context, data []byte, layers string) (*Facts, error) {
	configuration, module, err := parseManifest(data)
	if err != nil {
		return nil, err
	}
	if module != nil {
		// An artifact has no file system: a container that stands on layers
		// was not made from it.
		if layers != "" {
			return nil, nil
		}
		return &Facts{Module: module}, nil
	}
	raw, err := s.read(ctx, configuration)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ports, chain, err := parseConfig(raw)
	if err != nil {
		return nil, err
	}
	if layers != "" && chain != layers {
		return nil, nil
	}
	return &Facts{ExposedPorts: ports}, nil
}

// byLayers learns the ports from the image's layers alone.
func (s *Store) byLayers(ctx context.Context, snapshotter, layers string) (Facts, error) {
	if layers == "" {
		return Facts{}, nil
	}
	b, err := s.configOf(ctx, snapshotter, layers)
	if err != nil || b == nil {
		return Facts{}, err
	}
	data, err := s.read(ctx, *b)
	if errdefs.IsNotFound(err) {
		return Facts{}, nil
	}
	if err != nil {
		return Facts{}, err
	}
	ports, chain, err := parseConfig(data)
	if err != nil || chain != layers {
		return Facts{}, err
	}
	return Facts{ExposedPorts: ports}, nil
}
