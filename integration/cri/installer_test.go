// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"containerd-shim-wazero/deploy/installer/config"
	"containerd-shim-wazero/deploy/installer/host"
	"containerd-shim-wazero/integration/harness"
)

// TestInstalledConfiguration has each containerd read what the installer adds to
// each version of its file, and run pods.
func TestInstalledConfiguration(t *testing.T) {
	files := map[string][]string{"1.7": {"2"}}
	if harness.Full() {
		files = map[string][]string{"1.7": {"2"}, "2.0": {"2", "3"}, "2.2": {"2", "3"}, "2.3": {"2", "3", "4"}, "2.4": {"2", "3", "4"}}
	}
	for _, version := range harness.Versions() {
		for _, file := range files[version] {
			t.Run(version+" with a file of version "+file, func(t *testing.T) { installed(t, version, file) })
		}
	}
}

func installed(t *testing.T, version, fileVersion string) {
	harness.Hide(t, filepath.Dir(harness.PlainConfig))
	node := harness.New(t, version, harness.WithPlainConfig(fileVersion), harness.WithCRI())
	node.ImportCRI(t, harness.PauseImage(), harness.GuestsImage(t))
	before, err := os.ReadFile(harness.PlainConfig)
	if err != nil {
		t.Fatal(err)
	}
	layout := config.Layout{Dir: filepath.Dir(harness.PlainConfig)}
	change := func(changes []config.Change, err error) {
		t.Helper()
		if err != nil || len(changes) != 1 {
			t.Fatalf("%v, %v", changes, err)
		}
		if err := changes[0].Apply(); err != nil {
			t.Fatal(err)
		}
		old := node.Pid()
		h := host.Host{Proc: "/proc", Config: harness.PlainConfig, Settled: time.Second, Patience: harness.Patience}
		if err := h.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		if node.Pid() == old {
			t.Fatal("containerd was not restarted")
		}
		harness.Eventually(t, "containerd answers", func() bool { return node.Crictl(t, "info").Status == 0 })
	}
	major := 2
	if version == "1.7" {
		major = 1
	}
	change(layout.Installation(major, harness.Shim()))
	t.Run("pods", func(t *testing.T) { life(t, node) })
	change(layout.Removal())
	after, err := os.ReadFile(harness.PlainConfig)
	if err != nil || string(after) != string(before) {
		t.Errorf("the configuration was\n%s\nand is\n%s, %v", before, after, err)
	}
	node.Crictl(t, "runp", "--runtime", harness.Handler, write(t, newPod(t, node).config)).Exits(1).Complains("no runtime for")
}
