// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package compose

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// stack is the example, brought up by Compose.
type stack struct {
	*engine.Engine
	testing.TB
	dir, files string
}

// api is where the example is published.
var api = Client{URL: "http://127.0.0.1:8080"}

func newStack(t testing.TB) stack {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	s := stack{Engine: engine.Shared(t), TB: t, dir: filepath.Join(root, "examples/compose")}
	s.files = "docker compose -f compose.yaml"
	for _, file := range []string{"servers.yaml", "modules.yaml"} {
		s.files += " -f " + filepath.Join(root, "integration/compose", file)
	}
	s.files += " "
	for _, make := range []func() (image.Image, error){
		PostgresImage, RedisImage,
		func() (image.Image, error) { return WasmImage("api", harness.Built(t, "example", "api.wasm")) },
		func() (image.Image, error) { return WasmImage("worker", harness.Built(t, "example", "worker.wasm")) },
	} {
		img, err := make()
		if err != nil {
			t.Fatal(err)
		}
		s.Load(t, img)
	}
	return s
}

// compose types a docker compose command; it must succeed.
func (s stack) compose(line string) string {
	s.Helper()
	result := s.Shell(s.TB, s.dir, s.files+line)
	if result.Status != 0 {
		s.Log(s.Shell(s.TB, s.dir, s.files+"logs --no-color --tail 60; "+s.files+"ps -a").Stdout)
	}
	return result.Exits(0).Stdout
}

// ids are the containers of a service.
func (s stack) ids(service string) []string {
	s.Helper()
	return strings.Fields(s.compose("ps -aq " + service))
}

func (s stack) healthy(service string, count int) {
	s.Helper()
	harness.Eventually(s.TB, fmt.Sprintf("%d of %s are healthy", count, service), func() bool {
		out := s.compose("ps --format '{{.Health}}' " + service)
		return strings.Count(out, "healthy\n") == count && !strings.Contains(out, "unhealthy")
	})
}

// create makes a task that must be taken.
func (s stack) create(text string) Task {
	s.Helper()
	var made Task
	if status, err := api.Ask(http.MethodPost, "/tasks", map[string]string{"text": text}, &made); status != 201 || err != nil || made.Text != text {
		s.Fatalf("create %q: %d, %v, %+v", text, status, err, made)
	}
	return made
}

// done waits until the worker has done a task.
func (s stack) done(id int64) (t Task) {
	s.Helper()
	harness.Eventually(s.TB, fmt.Sprintf("task %d is done", id), func() bool {
		status, err := api.Ask(http.MethodGet, fmt.Sprint("/tasks/", id), nil, &t)
		return status == 200 && err == nil && t.Done
	})
	return t
}

// TestStack is the life of the example, as its user lives it.
func TestStack(t *testing.T) {
	s := newStack(t)
	defer s.Shell(t, s.dir, s.files+"down -v --timeout 5")
	s.compose("up -d --wait --wait-timeout 120")
	for _, service := range []string{"api", "worker", "postgres", "redis"} {
		s.healthy(service, 1)
	}
	s.story()
	s.kill()
	s.restart()
	s.scale()
	s.compose("down -v --timeout 5")
	for _, list := range []string{"ps -aq", "volume ls -q", "network ls -q --filter type=custom"} {
		s.Docker(t, strings.Fields(list)...).Is(0, "")
	}
}

// story is create, list, done by the worker, counted in Redis.
func (s stack) story() {
	made := s.create("the quick brown fox")
	got := s.done(made.ID)
	if got.Words != 4 || got.SHA256 != "9ecb36561341d18eb65484e833efea61edc74b84cf5e6ae1b81c63533e25fc8f" ||
		got.Worker != s.ids("worker")[0][:12] {
		s.Errorf("the worker answers %+v", got)
	}
	var all []Task
	if status, err := api.Ask(http.MethodGet, "/tasks", nil, &all); status != 200 || err != nil || len(all) != 1 || all[0] != got {
		s.Errorf("list: %d, %v, %+v", status, err, all)
	}
	var counted Stats
	if status, err := api.Ask(http.MethodGet, "/stats", nil, &counted); status != 200 || err != nil || counted != (Stats{1, 1}) {
		s.Errorf("stats: %d, %v, %+v", status, err, counted)
	}
	if out := s.compose("exec -T redis redis-cli scard tasks:done"); out != "1\n" {
		s.Errorf("Redis counts %q", out)
	}
	for _, no := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"POST", "/tasks", "no object", 400}, {"POST", "/tasks", map[string]string{"text": strings.Repeat("x", 10_001)}, 413},
		{"GET", "/tasks/999", nil, 404}, {"GET", "/tasks/x", nil, 400}, {"GET", "/nowhere", nil, 404},
	} {
		if status, err := api.Ask(no.method, no.path, no.body, nil); status != no.status || err != nil {
			s.Errorf("%s %s: %d, %v; want %d", no.method, no.path, status, err, no.status)
		}
	}
	for service, text := range map[string]string{"api": "serving on", "worker": "task 1 is done"} {
		if out := s.compose("logs --no-color " + service); !strings.Contains(out, text) {
			s.Errorf("log of %s: %q", service, out)
		}
	}
	s.compose("exec -T api /api.wasm health")
	s.compose("exec -T worker /worker.wasm health")
	s.Shell(s.TB, s.dir, s.files+"exec -T api sh").Exits(127)
}

// kill kills the worker's process from the host; the restart policy brings it
// back, and what was queued meanwhile is done.
func (s stack) kill() {
	id := s.ids("worker")[0]
	pid, err := strconv.Atoi(s.Ask(s.TB, "inspect", "-f", "{{.State.Pid}}", id))
	if err != nil {
		s.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	made := s.create("made while nobody works")
	harness.Eventually(s.TB, "the worker is back", func() bool {
		return s.Ask(s.TB, "inspect", "-f", "{{.RestartCount}} {{.State.Running}}", id) == "1 true"
	})
	s.done(made.ID)
	s.healthy("worker", 1)
}

// scale has three workers do the work of one; each task is done once.
func (s stack) scale() {
	s.compose("up -d --wait --wait-timeout 60 --scale worker=3")
	s.healthy("worker", 3)
	workers := map[string]bool{}
	harness.Eventually(s.TB, "all three workers work", func() bool {
		workers[s.done(s.create("work for three").ID).Worker] = true
		return len(workers) == 3
	})
	var counted Stats
	if status, err := api.Ask(http.MethodGet, "/stats", nil, &counted); status != 200 || err != nil || counted.Made != counted.Done {
		s.Errorf("stats: %d, %v, %+v", status, err, counted)
	}
}
