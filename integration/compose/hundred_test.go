// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// many is a project of one service with as many containers.
const many = `services:
  idle:
    %s
    command: [sleep, "1000000000"]
    stop_signal: SIGKILL
    deploy: {replicas: %d}
`

// cost is what a project took.
type cost struct {
	up, down time.Duration
	memory   float64 // of the containers and their shims, in kB
}

// TestHundred has one project of a hundred Wasm containers, and one of Linux
// ones for comparison, come up and go.
func TestHundred(t *testing.T) {
	count := 5
	if harness.Full() {
		count = 100
	}
	e := engine.Shared(t)
	e.LoadAll(t)
	wasm := project(t, e, "wasm", []string{"image: " + engine.Box, "runtime: " + engine.Runtime, "platform: wasi/wasm"}, count)
	linux := project(t, e, "linux", []string{"image: " + engine.LinuxBox}, count)
	t.Logf("%d Wasm containers beside as many Linux ones: up %.2f, down %.2f, memory %.2f", count,
		wasm.up.Seconds()/linux.up.Seconds(), wasm.down.Seconds()/linux.down.Seconds(), wasm.memory/linux.memory)
}

// project brings a project up and down again.
func project(t *testing.T, e *engine.Engine, name string, service []string, count int) (c cost) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fields := strings.Join(service, "\n    ")
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), fmt.Appendf(nil, many, fields, count), 0o644); err != nil {
		t.Fatal(err)
	}
	before := used(t)
	began := time.Now()
	e.Shell(t, dir, "docker compose up -d --wait --pull never").Exits(0)
	c.up = time.Since(began)
	if running := len(strings.Fields(e.Ask(t, "ps", "-q"))); running != count {
		t.Errorf("%d of %d containers of %s run", running, count, name)
	}
	c.memory = used(t) - before
	began = time.Now()
	e.Shell(t, dir, "docker compose down").Exits(0)
	c.down = time.Since(began)
	e.Docker(t, "ps", "-aq").Is(0, "")
	return c
}

// used is the memory of all containers and shims, in kB.
func used(t *testing.T) (sum float64) {
	t.Helper()
	harness.EachPss(t, func(pid int, program string, kB float64) {
		if strings.Contains(program, "containerd-shim-") || filepath.Base(program) == "box" {
			sum += kB
		}
	})
	return sum
}
