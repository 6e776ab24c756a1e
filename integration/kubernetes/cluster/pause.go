// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// PauseImage is Kubernetes' own sandbox image, which runc can run too.
func PauseImage(t testing.TB) image.Image {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-C", filepath.Join(root, "hack/tools/kubernetes"), "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes")
	source := strings.TrimSpace(harness.Execute(t, list).Exits(0).Stdout)
	program := filepath.Join(t.TempDir(), "pause")
	harness.Execute(t, exec.Command("gcc", "-Os", "-static", "-s", "-DVERSION=test", "-o", program,
		filepath.Join(source, "build/pause/linux/pause.c"))).Exits(0)
	file, err := image.Copy("pause", program)
	if err != nil {
		t.Fatal(err)
	}
	return image.Image{Name: harness.Pause, OS: "linux", Arch: harness.Architecture(), Files: []image.File{file},
		Config: v1.ImageConfig{Entrypoint: []string{"/pause"}}}
}
