// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"containerd-shim-wazero/deploy/installer/config"
	"containerd-shim-wazero/deploy/installer/host"
)

// A containerd that does not come back gets its old configuration; that it has to
// be started once more is not forgotten.
func TestUndone(t *testing.T) {
	dir := t.TempDir()
	path, pending := filepath.Join(dir, "config.toml"), filepath.Join(dir, "pending")
	const before = "version = 3\n"
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	i := &installer{
		layout:  config.Layout{Dir: dir},
		host:    host.Host{Proc: t.TempDir(), Config: path, Settled: 10 * time.Millisecond, Patience: 50 * time.Millisecond},
		pending: pending,
	}
	changes, err := i.layout.Installation(2, "/opt/wazero/shim")
	if err != nil || len(changes) != 1 {
		t.Fatalf("%v, %v", changes, err)
	}
	if err := i.configure(context.Background(), changes); err == nil {
		t.Error("nothing runs, and it was configured")
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != before {
		t.Errorf("the file is %q, %v", now, err)
	}
	if _, err := os.Stat(pending); err != nil {
		t.Error(err)
	}
	// Told to stop, it leaves the file as it is for the next one.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := i.configure(ctx, changes); err == nil {
		t.Error("told to stop, and it was configured")
	}
	if now, err := os.ReadFile(path); err != nil || string(now) == before {
		t.Errorf("the file is %q, %v", now, err)
	}
	// The next one has nothing to change, and is not content with that.
	if err := i.configure(context.Background(), nil); err == nil {
		t.Error("a restart that was due was forgotten")
	}
}
