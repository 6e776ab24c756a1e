// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package image makes small container images for the tests, as OCI image
// layouts in a tar archive, which containerd and Docker import. The nodes'
// installer is packed by it too.
package image

import (
	"archive/tar"
	"bytes"
	_ "crypto/sha256" // for go-digest
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is one image of one platform.
type Image struct {
	// Name is the full reference, as docker.io/library/hello:latest.
	Name   string
	OS     string // "wasi" unless set
	Arch   string // "wasm" unless set
	Files  []File
	Config v1.ImageConfig
	// Index puts the manifest into an index of its own, as BuildKit does.
	Index bool
	// With are images of other platforms in the same index.
	With []Image
	// Artifact makes an OCI artifact whose layers are the files themselves,
	// not a tar of them.
	Artifact *Artifact
}

// Artifact holds the media types of an OCI Wasm artifact.
type Artifact struct {
	ConfigType, LayerType string
	// Config is the configuration's bytes; "{}" unless set.
	Config []byte
}

// File is one entry of the root file system.
type File struct {
	Path     string // without a leading slash
	Body     []byte
	Mode     os.FileMode // with os.ModeDir for a folder; 0644 or 0755 unless set
	UID, GID int
	Link     string // the target, for a symbolic link
}

// Dir is a folder.
func Dir(path string, mode os.FileMode) File {
	return File{Path: path, Mode: os.ModeDir | mode}
}

// Link is a symbolic link.
func Link(path, target string) File {
	return File{Path: path, Link: target, Mode: os.ModeSymlink}
}

// Text is a small file.
func Text(path, body string) File {
	return File{Path: path, Body: []byte(body)}
}

// Copy is a file of the host, executable.
func Copy(path, source string) (File, error) {
	body, err := os.ReadFile(source)
	return File{Path: path, Body: body, Mode: 0o755}, err
}

// Write writes the image as a tar archive of an OCI image layout.
func (i Image) Write(w io.Writer) error {
	archive := tar.NewWriter(w)
	layout := layout{put: func(name string, body []byte) error {
		header := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		_, err := archive.Write(body)
		return err
	}}
	top, err := i.write(&layout)
	if err != nil {
		return err
	}
	layout.close(i.Name, top)
	return errors.Join(layout.err, archive.Close())
}

// write writes the image's blobs and answers its manifest or index.
func (i Image) write(out *layout) (v1.Descriptor, error) {
	var manifests []v1.Descriptor
	for _, one := range append([]Image{i}, i.With...) {
		manifest, err := one.manifest(out)
		if err != nil {
			return v1.Descriptor{}, fmt.Errorf("image %s: %w", i.Name, err)
		}
		manifests = append(manifests, manifest)
	}
	if i.Index || len(i.With) > 0 {
		return out.index(manifests...), out.err
	}
	return manifests[0], out.err
}

func (i Image) platform() v1.Platform {
	p := v1.Platform{OS: i.OS, Architecture: i.Arch}
	if p.OS == "" {
		p.OS = "wasi"
	}
	if p.Architecture == "" {
		p.Architecture = "wasm"
	}
	return p
}

func (i Image) manifest(out *layout) (v1.Descriptor, error) {
	platform := i.platform()
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
	}
	if a := i.Artifact; a != nil {
		config := a.Config
		if config == nil {
			config = []byte("{}")
		}
		manifest.Config = out.blob(a.ConfigType, config)
		for _, file := range i.Files {
			layer := out.blob(a.LayerType, file.Body)
			layer.Annotations = map[string]string{v1.AnnotationTitle: file.Path}
			manifest.Layers = append(manifest.Layers, layer)
		}
	} else {
		layer, err := layerOf(i.Files)
		if err != nil {
			return v1.Descriptor{}, err
		}
		created := time.Unix(0, 0).UTC()
		manifest.Config = out.json(v1.MediaTypeImageConfig, v1.Image{
			Created:  &created,
			Platform: platform,
			Config:   i.Config,
			RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
		})
		manifest.Layers = []v1.Descriptor{out.blob(v1.MediaTypeImageLayer, layer)}
	}
	descriptor := out.json(v1.MediaTypeImageManifest, manifest)
	descriptor.Platform = &platform
	return descriptor, nil
}

// layerOf is the uncompressed layer: what came first in files comes first.
func layerOf(files []File) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range files {
		header := &tar.Header{Name: f.Path, Uid: f.UID, Gid: f.GID, Format: tar.FormatPAX}
		mode := f.Mode.Perm()
		switch {
		case f.Mode.IsDir():
			header.Typeflag, header.Name = tar.TypeDir, f.Path+"/"
			if mode == 0 {
				mode = 0o755
			}
		case f.Link != "":
			header.Typeflag, header.Linkname, mode = tar.TypeSymlink, f.Link, 0o777
		default:
			header.Typeflag, header.Size = tar.TypeReg, int64(len(f.Body))
			if mode == 0 {
				mode = 0o644
			}
		}
		header.Mode = int64(mode)
		if f.Mode&os.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
		if f.Mode&os.ModeSetuid != 0 {
			header.Mode |= 0o4000
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("layer: %s: %w", f.Path, err)
		}
		if _, err := w.Write(f.Body); err != nil {
			return nil, fmt.Errorf("layer: %s: %w", f.Path, err)
		}
	}
	err := w.Close()
	return buffer.Bytes(), err
}

// layout hands out the files of an image layout and keeps the first error.
type layout struct {
	put func(name string, body []byte) error
	err error
}

func (l *layout) file(name string, body []byte) {
	if l.err == nil {
		l.err = l.put(name, body)
	}
}

func (l *layout) blob(mediaType string, body []byte) v1.Descriptor {
	d := digest.FromBytes(body)
	l.file("blobs/"+d.Algorithm().String()+"/"+d.Encoded(), body)
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))}
}

func (l *layout) json(mediaType string, value any) v1.Descriptor {
	return l.blob(mediaType, encode(value))
}

func (l *layout) index(manifests ...v1.Descriptor) v1.Descriptor {
	return l.json(v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: manifests,
	})
}

// close ends the layout of an image of that name.
func (l *layout) close(name string, top v1.Descriptor) {
	top.Annotations = map[string]string{
		"io.containerd.image.name": name,
		v1.AnnotationRefName:       name,
	}
	l.file(v1.ImageIndexFile, encode(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{top},
	}))
	l.file(v1.ImageLayoutFile, encode(v1.ImageLayout{Version: v1.ImageLayoutVersion}))
}

// encode marshals what is known to have a JSON form.
func encode(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return body
}
