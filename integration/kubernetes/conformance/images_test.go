// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// registry is where all images of the tests are said to come from.
const registry = "docker.io/library"

// repoList has the tests name all images by registry.
const repoList = `promoterE2eRegistry: ` + registry + `
gcRegistry: ` + registry + `
gcEtcdRegistry: ` + registry + `
buildImageRegistry: ` + registry + `
`

const (
	users  = "root:x:0:0:root:/root:/bin/sh\nuser-defined-in-image:x:1000:1000::/home:/bin/sh\n"
	groups = "root:x:0:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"
)

// makeImages makes, by its name without a version, each image that can be made
// here: from the same module as the tests, and the distribution's programs.
func makeImages(t *testing.T) map[string]image.Image {
	t.Helper()
	built := func(name string) string { return harness.Built(t, "stack", "conformance", "bin", name) }
	agnhost := tree(t)
	copyTo(t, agnhost, "agnhost", built("agnhost"))
	agnhost.Add(image.Link("agnhost-2", "agnhost"))
	agnhost.Add(image.Dir("uploads", 0o777))
	for _, name := range []string{"localhost.crt", "localhost.key"} {
		copyTo(t, agnhost, name, built(name))
	}
	agnhost.Add(image.Link("usr/bin/nc", "nc.openbsd"))
	for _, program := range []string{"/usr/bin/curl", "/bin/ss", "/usr/bin/ipcs", "/bin/nc.openbsd"} {
		if err := agnhost.Program(program); err != nil {
			t.Fatal(err)
		}
	}
	nonewprivs := tree(t)
	nnp, err := image.Copy("usr/local/bin/nnp", built("nonewprivs"))
	if err != nil {
		t.Fatal(err)
	}
	nnp.Mode |= os.ModeSetuid
	nonewprivs.Add(nnp)
	names := tree(t)
	if err := names.Program("/bin/hostname"); err != nil { // that of the C library, not busybox's
		t.Fatal(err)
	}
	ports := map[string]struct{}{}
	for _, port := range []string{"80", "8080", "8081", "9376", "5000"} {
		ports[port+"/tcp"] = struct{}{}
	}
	return map[string]image.Image{
		"agnhost":           made(agnhost, v1.ImageConfig{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}, ExposedPorts: ports}),
		"busybox":           made(tree(t), v1.ImageConfig{Cmd: []string{"sh"}}),
		"nonroot":           made(tree(t), v1.ImageConfig{Cmd: []string{"sh"}, User: "1234"}),
		"nonewprivs":        made(nonewprivs, v1.ImageConfig{Cmd: []string{"nnp"}}),
		"glibc-dns-testing": made(names, v1.ImageConfig{Cmd: []string{"sh"}}),
		"nginx":             made(tree(t), v1.ImageConfig{Cmd: []string{"sh"}}), // asked for as an image that is another
		"pause":             made(agnhost, v1.ImageConfig{Entrypoint: []string{"/agnhost", "pause"}}),
	}
}

func made(t *image.Tree, config v1.ImageConfig) image.Image {
	config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return image.Image{OS: "linux", Arch: harness.Architecture(), Files: t.Files, Config: config}
}

// tree has all of the busybox.
func tree(t *testing.T) *image.Tree {
	t.Helper()
	files := image.NewTree()
	files.Add(image.Text("etc/passwd", users))
	files.Add(image.Text("etc/group", groups))
	for _, dir := range []string{"home", "root", "var/run"} {
		files.Add(image.Dir(dir, 0o755))
	}
	copyTo(t, files, "bin/busybox", "/bin/busybox")
	for _, applet := range strings.Fields(harness.Execute(t, exec.Command("/bin/busybox", "--list")).Exits(0).Stdout) {
		if applet != "busybox" && applet != "hostname" && applet != "sh" {
			files.Add(image.Link("bin/"+applet, "busybox"))
		}
	}
	// The distribution's busybox drops variables whose names are no shell's.
	if err := files.Program("/bin/bash"); err != nil {
		t.Fatal(err)
	}
	files.Add(image.Link("bin/bash", "/usr/bin/bash"))
	files.Add(image.Link("bin/sh", "/usr/bin/bash"))
	files.Add(image.Link("sbin/hostname", "../bin/busybox")) // after a real one
	return files
}

func copyTo(t *testing.T, files *image.Tree, to, from string) {
	t.Helper()
	if err := files.Copy(to, from); err != nil {
		t.Fatal(err)
	}
}

// listed is every image that the tests know, by name and version.
func listed(t *testing.T, env []string) []string {
	t.Helper()
	cmd := exec.Command(harness.Built(t, "stack", "conformance", "bin", "e2e.test"), "--list-images")
	cmd.Env = append(os.Environ(), env...)
	return strings.Fields(harness.Execute(t, cmd).Exits(0).Stdout)
}

// base is an image's name without registry and version.
func base(name string) string {
	short, _, _ := strings.Cut(filepath.Base(name), ":")
	return short
}
