// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

// Package suite builds Dockerfile.test by the engine under test and runs the
// containerd part of the tests in it (make test-full).
package suite

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

func TestMain(m *testing.M) { engine.Main(m) }

// base is what Dockerfile.test begins FROM.
const base = "golang:1.26-bookworm"

// TestDockerfileTest needs no network: the base image is made of this
// machine's own packages and Go, and modules come from this machine's cache.
func TestDockerfileTest(t *testing.T) {
	if !harness.Full() {
		t.Skip("in make test-full only")
	}
	e := engine.Shared(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	line(t, e, root, "integration/docker/suite/base.sh "+distribution(t)+" $(hack/packages.sh list) | docker import"+
		" --change 'ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"+
		" GOTOOLCHAIN=local GOSUMDB=off GOPROXY="+e.ModuleProxy(t)+"' - "+base)
	line(t, e, root, "docker build -f Dockerfile.test -t shim-test .")
	line(t, e, root, "docker run --rm --privileged --tmpfs /var/tmp:exec shim-test")
}

// distribution is the machine's file system without the room's own mounts.
func distribution(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("/", dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	// Nothing that goes wrong with the folder may reach the machine's files.
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// line runs a line of shell that may take long, and shows how it goes.
func line(t *testing.T, e *engine.Engine, dir, text string) {
	t.Helper()
	cmd := e.ShellCommand(t, dir, text)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
