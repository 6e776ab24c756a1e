// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command image packs the nodes' installer as an image of several platforms, in
// an OCI image layout that registries' tools, Docker and containerd read:
//
//	image -name wazero-installer:dev -binaries build/image -o build/image/installer.tar
//
// Under the folder of binaries each architecture has one of its own. One for which
// there is no shim gets the installer alone, which says so on its nodes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/image"
)

func main() {
	log.SetFlags(0)
	name := flag.String("name", "", "the image's `NAME:TAG`")
	binaries := flag.String("binaries", "", "the `folder` with ARCHITECTURE/BINARY")
	out := flag.String("o", "", "the `file` to write")
	flag.Parse()
	if err := pack(*name, *binaries, *out); err != nil {
		log.Fatal(err)
	}
}

func pack(name, binaries, out string) error {
	installers, err := filepath.Glob(filepath.Join(binaries, "*", "wazero-installer"))
	if err != nil || len(installers) == 0 {
		return errors.Join(err, fmt.Errorf("no installer under %q", binaries))
	}
	var images []image.Image
	for _, installer := range installers {
		i := image.Image{OS: "linux", Arch: filepath.Base(filepath.Dir(installer)),
			Config: v1.ImageConfig{Entrypoint: []string{"/wazero-installer"}}}
		for _, binary := range []string{"wazero-installer", "containerd-shim-wazero-v1"} {
			file, err := image.Copy(binary, filepath.Join(filepath.Dir(installer), binary))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			i.Files = append(i.Files, file)
		}
		images = append(images, i)
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	index := images[0]
	index.Name, index.Index, index.With = name, true, images[1:]
	return errors.Join(index.Write(file), file.Close())
}
