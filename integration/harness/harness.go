// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package harness runs tests against a real containerd with the shim built
// from this tree, in a clean room, and reads as a sentence:
//
//	node := harness.Shared(t)
//	node.Guest(t, "box", "echo", "hi").Run().Is(0, "hi\n")
//
//	task := node.Guest(t, "box", "answer").Interactive().Start()
//	task.Type("one\n")
//	task.Expect("got one")
//	task.Kill(unix.SIGTERM)
//	task.Wait().Exits(143)
//
// Whatever a test leaves behind (processes, mounts, cgroups, files under
// /run, bundles) fails it.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"containerd-shim-wazero/integration/room"
)

const (
	// Runtime is the shim under test; its binary is on containerd's PATH.
	Runtime = "io.containerd.wazero.v1"
	// RuncRuntime is the oracle.
	RuncRuntime = "io.containerd.runc.v2"
	// ShimBinary is the name of the shim's program.
	ShimBinary = "containerd-shim-wazero-v1"
)

// Patience is how long a helper waits before it fails the test.
var Patience = 30 * time.Second

// Slow makes everything more patient, on a machine that is emulated.
func Slow(times time.Duration) {
	Patience *= times
	grace *= times
}

// Versions of containerd that the shim serves; each is a part of
// hack/stack.sh. Without Full only the oldest and the newest are built.
func Versions() []string {
	if Full() {
		return []string{"1.7", "2.0", "2.2", "2.3", DefaultVersion}
	}
	return []string{"1.7", DefaultVersion}
}

// Full says that the large counts, the soaks and the version matrices are
// wanted (make test-full).
func Full() bool { return os.Getenv("TEST_FULL") != "" }

// Main is the body of a package's TestMain. It builds, outside the room, the
// shim, the guests, containerd, runc and the named parts of hack/stack.sh.
//
// SHIM names a shim to test in place of one built from this tree.
func Main(m *testing.M, parts ...string) {
	os.Exit(room.Run(func(dir string) error { return prepare(dir, parts) }, m.Run))
}

func prepare(dir string, parts []string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	root, err := Root()
	if err != nil {
		return err
	}
	stack := append([]string{"hack/stack.sh", "runc"}, parts...)
	for _, version := range Versions() {
		stack = append(stack, "containerd-"+version)
	}
	shim := []string{"make", "-s", "install", "DESTDIR=" + dir, "PREFIX="}
	if given := os.Getenv("SHIM"); given != "" {
		shim = []string{"cp", given, filepath.Join(bin, ShimBinary)}
	}
	for _, args := range [][]string{stack, {"hack/guests.sh"}, shim} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = root, os.Stderr, os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%v: %w", args, err)
		}
	}
	return nil
}

// Root is the repository's folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
	}
}

// Built is the path of something under the repository's build folder.
func Built(t testing.TB, elements ...string) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(append([]string{root, "build"}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: build it first (make test does)", err)
	}
	return path
}

// Shim is the path of the shim under test.
func Shim() string { return filepath.Join(room.Dir(), "bin", ShimBinary) }

// Eventually waits until the condition holds or fails the test.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !soon(Patience, condition) {
		t.Fatalf("waited %s in vain: %s", Patience, what)
	}
}

// Soon asks until the condition holds, at most so long, and answers whether it does.
func Soon(patience time.Duration, condition func() bool) bool { return soon(patience, condition) }

// soon asks until the condition holds, at most so long.
func soon(patience time.Duration, condition func() bool) bool {
	pause := time.Millisecond
	for deadline := time.Now().Add(patience); ; {
		if condition() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}
