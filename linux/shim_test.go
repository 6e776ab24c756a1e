// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// install puts a program in the place of the shim for runc.
func install(t *testing.T, program string) (s *Shim, bundle string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(program, filepath.Join(dir, shimProgram)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	return New(Config{
		Namespace: "n", Bundle: dir, Socket: filepath.Join(dir, "s"),
		Died: func() { t.Error("it has died") },
	}), dir
}

// TestCreateFails has a shim for runc that ends at once: no shim, and no pod that dies
// with it.
func TestCreateFails(t *testing.T) {
	s, bundle := install(t, "/bin/false")
	begin := time.Now()
	_, err := s.Create(t.Context(), &taskapi.CreateTaskRequest{ID: "c", Bundle: bundle}, &specs.Spec{})
	if err == nil || !strings.Contains(err.Error(), "does not answer") || !s.Empty() {
		t.Errorf("%v", err)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("it took %s", took)
	}
}
