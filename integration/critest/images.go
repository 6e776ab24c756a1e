// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package critest runs the suite that Kubernetes has for CRI implementations,
// critest, and compares what runc passes with what the shim passes.
package critest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n" +
		"nobody:x:65534:65534::/:/bin/sh\ndefault-user:x:1000:1000::/home/default-user:/bin/sh\n"
	group = "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\ndefault-user:x:1000:\n" +
		"group-defined-in-image:x:50000:default-user\n"

	upstream = "registry.k8s.io/"
	e2e      = upstream + "e2e-test-images/"
	staging  = "gcr.io/k8s-staging-cri-tools/"
)

// images are those that the suite names, under their names, made here as their
// sources say (cri-tools, images/). One cannot be made: the one that the suite
// names by the digest of its bytes.
func images(programs string) ([]image.Image, error) {
	base, err := busybox()
	if err != nil {
		return nil, err
	}
	web, err := program(programs, "nginx", "usr/sbin/nginx", 0o755)
	if err != nil {
		return nil, err
	}
	privileges, err := program(programs, "nonewprivs", "nnp", 0o755|os.ModeSetuid)
	if err != nil {
		return nil, err
	}
	all := []image.Image{
		linux(e2e+"busybox:1.29-2", base, v1.ImageConfig{}),
		linux(e2e+"nginx:1.14-2", base, v1.ImageConfig{Entrypoint: []string{"/usr/sbin/nginx", "80"}}, web),
		linux(e2e+"httpd:2.4.39-4", base, v1.ImageConfig{Entrypoint: []string{"/usr/sbin/nginx", "80"}}, web),
		linux(staging+"hostnet-nginx-"+runtime.GOARCH, base, v1.ImageConfig{Entrypoint: []string{"/usr/sbin/nginx", "12003"}}, web),
		linux(e2e+"nonewprivs:1.3", base, v1.ImageConfig{Entrypoint: []string{"/nnp"}}, privileges),
		linux(upstream+"pause:3.9", base, pause),
		// For when a spec has removed it; with a layer that makes it another image.
		linux(harness.Pause, base, pause, image.Text("node", "")),
		linux(staging+"test-image-predefined-group", base, v1.ImageConfig{User: "1000"}),
	}
	for name, user := range map[string]string{
		"uid": "1002", "username": "www-data", "uid-group": "1003:1004", "username-group": "www-data:1004",
	} {
		all = append(all, linux(staging+"test-image-user-"+name, base, v1.ImageConfig{User: user}))
	}
	for _, name := range []string{"test-image-1", "test-image-2", "test-image-3", "test-image-latest", "test-image-tag:test", "test-image-tag:all"} {
		all = append(all, linux(staging+name, base, v1.ImageConfig{}, image.Text(strings.ReplaceAll(name, ":", "-"), "")))
	}
	for _, tag := range []string{"1", "2", "3"} {
		all = append(all, linux(staging+"test-image-tags:"+tag, base, v1.ImageConfig{}, image.Text("same-image", "")))
	}
	return all, nil
}

// pause is what a pod of runc's rests on.
var pause = v1.ImageConfig{Entrypoint: []string{"/bin/busybox", "sleep", "inf"}}

func linux(name string, base []image.File, config v1.ImageConfig, more ...image.File) image.Image {
	config.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if config.Entrypoint == nil {
		config.Cmd = []string{"sh"}
	}
	return image.Image{Name: name, OS: "linux", Arch: runtime.GOARCH, Config: config,
		Files: append(base[:len(base):len(base)], more...)}
}

// busybox is the machine's own with all its applets, and two programs that
// Debian's lacks.
func busybox() ([]image.File, error) {
	t := image.NewTree()
	for _, dir := range []string{"root", "home/default-user", "var/run", "var/lib", "var/www", "mnt", "proc", "sys", "dev"} {
		t.Add(image.Dir(dir, 0o755))
	}
	t.Add(image.Text("etc/passwd", passwd))
	t.Add(image.Text("etc/group", group))
	if err := t.Copy("bin/busybox", "/bin/busybox"); err != nil {
		return nil, err
	}
	for _, name := range []string{"/usr/bin/pgrep", "/usr/bin/ipcs"} {
		if err := t.Program(name); err != nil {
			return nil, err
		}
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(string(applets)) {
		t.Add(image.Link("bin/"+name, "busybox"))
	}
	return t.Files, nil
}

// program is one of this package's commands, built before.
func program(dir, name, to string, mode os.FileMode) (image.File, error) {
	file, err := image.Copy(to, filepath.Join(dir, name))
	file.Mode = mode
	return file, err
}
