// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/image"
)

// GolangImage stands for the public image of Go: this machine's toolchain and
// a shell. What a build downloads it has from the named proxy.
func GolangImage(name, proxy string) (image.Image, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return image.Image{}, fmt.Errorf("go env: %w", err)
	}
	t := image.NewTree()
	if err := toolchain(t, strings.TrimSpace(string(root))); err != nil {
		return image.Image{}, err
	}
	if err := t.Copy("bin/busybox", "/bin/busybox"); err != nil {
		return image.Image{}, err
	}
	for _, name := range []string{"sh", "mv"} {
		t.Add(image.Link("bin/"+name, "busybox"))
	}
	t.Add(image.Text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"))
	return image.Image{Name: name, OS: "linux", Arch: runtime.GOARCH, Files: t.Files, Config: v1.ImageConfig{
		Env: []string{"PATH=/usr/local/go/bin:/bin", "HOME=/root", "GOTOOLCHAIN=local",
			"GOPROXY=" + proxy, "GOSUMDB=off", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"},
	}}, nil
}

// toolchain is what compiling pure Go needs of Go's own folder.
func toolchain(t *image.Tree, root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && (entry.Name() == "testdata" || at == "test" || at == "api" || at == "doc" || at == "src/cmd"):
			return filepath.SkipDir
		case !entry.Type().IsRegular() || strings.HasSuffix(at, "_test.go"):
			return nil
		}
		return t.Copy("usr/local/go/"+at, path)
	})
}
