// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package testsuite runs the public tests of WebAssembly/wasi-testsuite through
// any host: in this process, or in a container. It is for tests only.
package testsuite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Command is a guest to start.
type Command struct {
	Module string   // path of the module on this machine
	Args   []string // argv, the program's name first
	Env    []string // KEY=value
	Root   string   // a fresh directory that the guest sees as "/"; "" for none
}

// Process is a guest that runs.
type Process struct {
	Stdin          io.WriteCloser
	Stdout, Stderr io.Reader
	// Wait waits for the end, and returns the exit code.
	Wait func() (int, error)
}

// Host starts guests; what it needs to clean up it leaves to t.
type Host func(t *testing.T, c Command) *Process

// variable is the environment variable that names the suite's folder.
const variable = "WASI_TESTSUITE"

// Folder finds the suite: the folder that WASI_TESTSUITE names, or fallback.
// Without one the test is skipped, but fails in CI.
func Folder(t *testing.T, fallback string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		dir = fallback
	}
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir
	}
	message := fmt.Sprintf("NOT RUN: the WASI test suite is not at %s; name a checkout of "+
		"WebAssembly/wasi-testsuite (branch prod/testsuite-base) by %s", dir, variable)
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// Run runs every test below the folder as a subtest, and returns how many there
// were.
func Run(t *testing.T, folder string, host Host) int {
	var modules []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".wasm" {
			modules = append(modules, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(modules)
	for _, module := range modules {
		name, _ := filepath.Rel(folder, strings.TrimSuffix(module, ".wasm"))
		t.Run(name, func(t *testing.T) {
			operations, err := specification(strings.TrimSuffix(module, ".wasm") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			c := &testCase{module: module, host: host}
			c.run(t, operations)
		})
	}
	return len(modules)
}

// operation is one step of a test; which fields count depends on the type.
type operation struct {
	Type         string            `json:"type"`
	Args         []string          `json:"args"`
	Env          map[string]string `json:"env"`
	Root         string            `json:"root"`
	ID           string            `json:"id"`
	Payload      string            `json:"payload"`
	ProtocolType string            `json:"protocol_type"`
	ExitCode     int               `json:"exit_code"`
}

// specification reads a test's file: a list of operations, or the older plain
// form, which stands for one. Without a file the guest must end with 0.
func specification(path string) ([]operation, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = []byte("{}"), nil
	}
	if err != nil {
		return nil, err
	}
	var spec struct {
		operation
		Stdout, Stderr *string
		Operations     []operation `json:"operations"`
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if spec.Operations != nil {
		return spec.Operations, nil
	}
	run, wait := spec.operation, spec.operation
	run.Type, wait.Type = "run", "wait"
	operations := []operation{run}
	if spec.Stdout != nil {
		operations = append(operations, operation{Type: "read", ID: "stdout", Payload: *spec.Stdout})
	}
	if spec.Stderr != nil {
		operations = append(operations, operation{Type: "read", ID: "stderr", Payload: *spec.Stderr})
	}
	return append(operations, wait), nil
}
