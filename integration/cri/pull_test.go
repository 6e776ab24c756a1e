// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// pulls has what CRI makes of an image from a registry, by its platform and by
// the version of containerd.
func pulls(t *testing.T, node *harness.Node) {
	box, err := image.Copy("box.wasm", harness.Built(t, "guests", "box.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	p := newPod(t, node).run()
	for name, row := range map[string]struct {
		image               image.Image
		pullFails, notFound bool
	}{
		"linux": {image: image.Image{OS: "linux", Arch: harness.Architecture()}},
		"wasm":  {image: image.Image{OS: "linux", Arch: "wasm"}},
		// Since 2.2 it is pulled and not unpacked.
		"wasi":       {image: image.Image{OS: "wasi", Arch: "wasm"}, notFound: node.Version != "1.7"},
		"wasi-index": {image: image.Image{OS: "wasi", Arch: "wasm", Index: true}, pullFails: true},
	} {
		t.Run(name, func(t *testing.T) {
			// A layer of its own: one that another image has unpacked would do.
			row.image.Name = "pulled-" + name
			row.image.Files = append(harness.BaseFiles(), box, image.Text("only-"+name, name))
			ref := serve(t, row.image)
			if row.pullFails {
				node.Crictl(t, "pull", ref).Exits(1).Complains("no match for platform in manifest")
				return
			}
			node.Crictl(t, "pull", ref).Exits(0)
			config := p.container(name, "/box.wasm", "echo", "hello from", name)
			config["image"] = object{"image": ref}
			if row.notFound {
				node.Crictl(t, "create", p.ID, write(t, config), p.file).Exits(1).Complains("not found")
				return
			}
			p.expectLog(p.startConfig(config), "hello from "+name+"\n")
		})
	}
}

// serve is a registry on loopback from which the image can be pulled by the
// reference that is returned. The files of an image layout are all that one has.
func serve(t *testing.T, img image.Image) (ref string) {
	t.Helper()
	var buffer bytes.Buffer
	if err := img.Write(&buffer); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(&buffer); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			files[path.Base(header.Name)], err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var index v1.Index
	if err := json.Unmarshal(files[v1.ImageIndexFile], &index); err != nil {
		t.Fatal(err)
	}
	top := index.Manifests[0].Digest
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Base(r.URL.Path), "sha256:")
		if name == "test" {
			name = top.Encoded()
		}
		body, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		var typed struct{ MediaType string }
		_ = json.Unmarshal(body, &typed) // a blob has none
		if typed.MediaType == "" {
			typed.MediaType = "application/octet-stream"
		}
		w.Header().Set("Content-Type", typed.MediaType)
		w.Header().Set("Docker-Content-Digest", "sha256:"+name)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/" + img.Name + ":test"
}
