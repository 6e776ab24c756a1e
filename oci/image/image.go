// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package image learns from containerd what an image says and no bundle
// carries: the ports it exposes, and the module of an image that is nothing but
// a module. These two are all that an image decides.
//
// Everything is read by digest, checked against it, and bounded.
package image

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// Facts are what an image says. The zero value is that of an image that says
// nothing, or is not there.
type Facts struct {
	// ExposedPorts are sorted, as the configuration has them ("8080/tcp").
	ExposedPorts []string
	// Module is the layer that is the module itself (an OCI Wasm artifact),
	// nil for an image with a file system.
	Module *Blob
}

// Blob is one piece of content.
type Blob struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // in bytes
}

// descriptor is a Blob as indexes and manifests have it (OCI image
// specification, "Content Descriptors").
type descriptor struct {
	MediaType string `json:"mediaType"`
	Blob
	Platform *platform `json:"platform"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// Bounds on what an image may be made of.
const (
	maxDocument   = 4 << 20 // bytes of an index, manifest or configuration
	maxDepth      = 3       // indexes within indexes
	maxCandidates = 4       // manifests of one index that are looked at
)

// Media types of indexes and manifests.
const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

func isIndex(mediaType string) bool {
	return mediaType == ociIndex || mediaType == dockerIndex
}

func isManifest(mediaType string) bool {
	return mediaType == ociManifest || mediaType == dockerManifest
}

// isModule reports whether a layer's media type says that it is a module or a
// component itself.
func isModule(mediaType string) bool {
	switch mediaType {
	case "application/wasm",
		"application/vnd.wasm.content.layer.v1+wasm",
		"application/vnd.bytecodealliance.wasm.component.layer.v0+wasm":
		return true
	}
	return false
}

// parseIndex gives the manifests of an index that this machine can run, the
// likeliest first: for WebAssembly, then for the machine itself.
func parseIndex(data []byte) ([]descriptor, error) {
	var index struct {
		Manifests []descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("image index: %w", err)
	}
	list := slices.DeleteFunc(index.Manifests, func(d descriptor) bool {
		return platformRank(d.Platform) < 0
	})
	slices.SortStableFunc(list, func(a, b descriptor) int {
		return cmp.Compare(platformRank(a.Platform), platformRank(b.Platform))
	})
	return list[:min(len(list), maxCandidates)], nil
}

// platformRank orders platforms, negative for one that cannot be meant.
func platformRank(p *platform) int {
	switch {
	case p == nil:
		return 4
	case p.Architecture == "wasm" && p.OS == "wasi":
		return 0
	case p.Architecture == "wasm" && p.OS == "wasip1":
		return 1
	case p.Architecture == "wasm":
		return 2
	case p.Architecture == runtime.GOARCH && p.OS == runtime.GOOS:
		return 3
	}
	return -1
}

// parseManifest gives a manifest's configuration and, of an artifact, the layer
// that is the module.
func parseManifest(data []byte) (configuration Blob, module *Blob, err error) {
	var m struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return configuration, nil, fmt.Errorf("image manifest: %w", err)
	}
	for _, layer := range m.Layers {
		if !isModule(layer.MediaType) {
			continue
		}
		if module != nil {
			return configuration, nil, fmt.Errorf("the image has several modules as layers: one is expected")
		}
		module = &layer.Blob
		if err := module.check(); err != nil {
			return configuration, nil, err
		}
	}
	return m.Config.Blob, module, nil
}

// parseConfig gives the exposed ports and the chain id of the layers, "" of an
// image without any.
func parseConfig(data []byte) (ports []string, chain string, err error) {
	var c struct {
		Config struct {
			ExposedPorts map[string]struct{}
		} `json:"config"`
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, "", fmt.Errorf("image configuration: %w", err)
	}
	return slices.Sorted(maps.Keys(c.Config.ExposedPorts)), chainID(c.RootFS.DiffIDs), nil
}

// chainID names a stack of layers (OCI image specification, "Layer ChainID").
func chainID(diffIDs []string) string {
	chain := ""
	for i, id := range diffIDs {
		if i == 0 {
			chain = id
			continue
		}
		sum := sha256.Sum256([]byte(chain + " " + id))
		chain = digestOf(sum[:])
	}
	return chain
}

func digestOf(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// isDigest reports whether a string is a digest that can be checked.
func isDigest(s string) bool {
	sum, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(sum) == 2*sha256.Size && strings.Trim(sum, "0123456789abcdef") == ""
}

func (b Blob) check() error {
	if !isDigest(b.Digest) {
		return fmt.Errorf("content %.100q has no sha256 digest", b.Digest)
	}
	if b.Size < 0 {
		return fmt.Errorf("content %s has the size %d", b.Digest, b.Size)
	}
	return nil
}
