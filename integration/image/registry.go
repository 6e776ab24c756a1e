// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"time"
)

// A Registry answers pulls of its images by name and tag (OCI distribution
// spec, section "Pull"), whichever host the reference names: a mirror for all.
type Registry struct {
	blobs map[string][]byte // by digest
	tags  map[string]string // "NAME:TAG" to the digest of a manifest or index
}

// NewRegistry holds images.
func NewRegistry(images ...Image) (*Registry, error) {
	r := &Registry{blobs: map[string][]byte{}, tags: map[string]string{}}
	for _, i := range images {
		top, err := i.write(&layout{put: func(name string, body []byte) error {
			r.blobs["sha256:"+path.Base(name)] = body
			return nil
		}})
		if err != nil {
			return nil, err
		}
		r.tags[tagged(i.Name)] = top.Digest.String()
	}
	return r, nil
}

// tagged is a reference without its host and with its tag.
func tagged(reference string) string {
	if host, rest, ok := strings.Cut(reference, "/"); ok && strings.ContainsAny(host, ".:") {
		reference = rest
	}
	if !strings.Contains(reference, ":") {
		reference += ":latest"
	}
	return reference
}

// ServeHTTP answers /v2/NAME/manifests/TAG-OR-DIGEST and /v2/NAME/blobs/DIGEST.
func (r *Registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	last := path.Base(request.URL.Path)
	name, isManifest := strings.CutSuffix(path.Dir(request.URL.Path), "/manifests")
	if digest, ok := r.tags[strings.TrimPrefix(name, "/v2/")+":"+last]; ok && isManifest {
		last = digest
	}
	body, ok := r.blobs[last]
	if !ok {
		http.NotFound(w, request)
		return
	}
	mediaType := "application/octet-stream"
	if isManifest {
		var typed struct{ MediaType string }
		if err := json.Unmarshal(body, &typed); err == nil && typed.MediaType != "" {
			mediaType = typed.MediaType
		}
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", last)
	http.ServeContent(w, request, "", time.Time{}, bytes.NewReader(body))
}
