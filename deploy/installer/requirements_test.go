// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"containerd-shim-wazero/deploy/installer/kube"
)

func TestExamine(t *testing.T) {
	shim := filepath.Join(t.TempDir(), "shim")
	if err := os.WriteFile(shim, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		info  kube.Info
		shim  string
		label string
		major int
	}{
		{kube.Info{Architecture: "amd64", KernelVersion: "5.15.0-91-generic", ContainerRuntimeVersion: "containerd://1.7.0"}, shim, "", 1},
		{kube.Info{Architecture: "amd64", KernelVersion: "6.1.0", ContainerRuntimeVersion: "containerd://2.1.4-k3s1"}, shim, "", 2},
		{kube.Info{Architecture: "amd64", KernelVersion: "6.1.0+", ContainerRuntimeVersion: "containerd://v2.4.2"}, shim, "", 2},
		{kube.Info{Architecture: "arm64", KernelVersion: "6.1.0", ContainerRuntimeVersion: "containerd://2.1.4"}, shim, "unsupported-architecture", 0},
		{kube.Info{Architecture: "amd64", KernelVersion: "6.1.0", ContainerRuntimeVersion: "containerd://2.1.4"}, shim + "none", "unsupported-architecture", 0},
		{kube.Info{Architecture: "amd64", KernelVersion: "5.14.21", ContainerRuntimeVersion: "containerd://2.1.4"}, shim, "unsupported-kernel", 0},
		{kube.Info{Architecture: "amd64", KernelVersion: "garbage", ContainerRuntimeVersion: "containerd://2.1.4"}, shim, "unsupported-kernel", 0},
		{kube.Info{Architecture: "amd64", KernelVersion: "6.1.0", ContainerRuntimeVersion: "containerd://1.6.36"}, shim, "unsupported-containerd", 0},
		{kube.Info{Architecture: "amd64", KernelVersion: "6.1.0", ContainerRuntimeVersion: "cri-o://1.33.0"}, shim, "unsupported-containerd", 0},
		{kube.Info{Architecture: "amd64", KernelVersion: "6.1.0"}, shim, "unsupported-containerd", 0},
	} {
		major, lacks := examine(c.info, "amd64", c.shim)
		label := ""
		if lacks != nil {
			label = lacks.label
		}
		if label != c.label || major != c.major {
			t.Errorf("%+v: %d, %+v", c.info, major, lacks)
		}
	}
}
