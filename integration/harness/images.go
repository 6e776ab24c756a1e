// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/platforms"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/image"
)

const (
	// Guests is the image with every guest of integration/guests at its root.
	Guests = "docker.io/library/guests:test"
	// Busybox is an image of Debian's static busybox.
	Busybox = "docker.io/library/busybox:test"
)

// passwd has the users that the images know.
const (
	passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home:/bin/sh\n"
	group  = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"
)

// Architecture is this machine's, as images name it.
func Architecture() string { return platforms.DefaultSpec().Architecture }

// BaseFiles is what every image begins with.
func BaseFiles() []image.File {
	return []image.File{
		image.Dir("etc", 0o755), image.Text("etc/passwd", passwd), image.Text("etc/group", group),
		image.Dir("tmp", 0o777|os.ModeSticky), image.Dir("home", 0o755), image.Dir("bin", 0o755),
	}
}

// GuestsImage is the image of all guests: /NAME.wasm for each, /bin/tool.wasm
// for look-ups on the PATH, /work/here as a file beside a working directory,
// and /home/private, which root alone may read.
func GuestsImage(t testing.TB) image.Image {
	t.Helper()
	files := append(BaseFiles(),
		image.Dir("work", 0o777), image.Text("work/here", "a relative path\n"),
		image.Text("etc/there", "an absolute path\n"),
		image.File{Path: "home/private", Body: []byte("secret\n"), Mode: 0o600},
	)
	modules, err := filepath.Glob(filepath.Join(Built(t, "guests"), "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range modules {
		files = append(files, copied(t, filepath.Base(module), module))
	}
	files = append(files, copied(t, "bin/tool.wasm", Built(t, "guests", "box.wasm")))
	return image.Image{Name: Guests, Files: files}
}

// BusyboxImage is a Linux image of this machine's architecture.
func BusyboxImage(t testing.TB) image.Image {
	t.Helper()
	files := append(BaseFiles(), copied(t, "bin/busybox", "/bin/busybox"))
	for _, applet := range strings.Fields("sh echo cat ls sleep true false env id kill head wc dd mkdir stty nc wget httpd ps tail") {
		files = append(files, image.Link("bin/"+applet, "busybox"))
	}
	return image.Image{Name: Busybox, OS: "linux", Arch: Architecture(), Files: files,
		Config: v1.ImageConfig{Cmd: []string{"sh"}}}
}

func copied(t testing.TB, path, source string) image.File {
	t.Helper()
	file, err := image.Copy(path, source)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Image is an imported image, unpacked.
func (n *Node) image(t testing.TB, name string) client.Image {
	t.Helper()
	n.mu.Lock()
	known := n.imported[name]
	n.mu.Unlock()
	if !known {
		switch name {
		case Guests:
			return n.Import(t, GuestsImage(t))
		case Busybox:
			return n.Import(t, BusyboxImage(t))
		}
	}
	ctx, cancel := n.ctx()
	defer cancel()
	stored, err := n.Client.ImageService().Get(ctx, name)
	if err != nil {
		t.Fatalf("image %s: %v", name, err)
	}
	return client.NewImageWithPlatform(n.Client, stored, platforms.All)
}

// Import hands an image to containerd and unpacks it.
func (n *Node) Import(t testing.TB, img image.Image) client.Image {
	t.Helper()
	var archive bytes.Buffer
	if err := img.Write(&archive); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := n.ctx()
	defer cancel()
	stored, err := n.Client.Import(ctx, &archive, client.WithAllPlatforms(true))
	if err != nil {
		t.Fatalf("import %s: %v", img.Name, err)
	}
	imported := client.NewImageWithPlatform(n.Client, stored[0], platforms.All)
	if img.Artifact == nil {
		if err := imported.Unpack(ctx, Snapshotter); err != nil {
			t.Fatalf("unpack %s: %v", img.Name, err)
		}
	}
	n.mu.Lock()
	n.imported[img.Name] = true
	n.mu.Unlock()
	return imported
}
