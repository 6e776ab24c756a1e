// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"containerd-shim-wazero/integration/compose"
	"containerd-shim-wazero/integration/image"
	"containerd-shim-wazero/integration/room"
)

// stack shows examples/compose under a dockerd of its own, on the room's
// containerd.
func stack() error {
	stop, err := startDocker()
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println("\n# the mixed Compose stack: two Wasm services beside PostgreSQL and Redis")
	for _, make := range []func() (image.Image, error){
		compose.PostgresImage, compose.RedisImage,
		func() (image.Image, error) { return compose.WasmImage("api", "build/example/api.wasm") },
		func() (image.Image, error) { return compose.WasmImage("worker", "build/example/worker.wasm") },
	} {
		if err := load(make, "docker", "load", "-i"); err != nil {
			return err
		}
	}
	os.Setenv("COMPOSE_FILE", "examples/compose/compose.yaml:integration/compose/servers.yaml:integration/compose/modules.yaml")
	os.Setenv("COMPOSE_PROGRESS", "quiet")
	// Whatever fails, the stack is taken down before dockerd is.
	err = scenes()
	if downErr := scene("docker compose down -v --timeout 5"); err == nil {
		err = downErr
	}
	if err != nil {
		return err
	}
	if err := scene("docker ps -a; docker volume ls"); err != nil {
		return err
	}
	if _, _, left := timed("sh", "-c", "docker ps -aq; docker volume ls -q"); left != "" {
		return fmt.Errorf("the stack left behind %q", left)
	}
	return nil
}

func scenes() error {
	const create = `curl -sS -d '{"text": "%s"}' http://127.0.0.1:8080/tasks`
	for _, line := range []string{
		"docker compose up -d --wait",
		`docker compose ps --format 'table {{.Service}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}'`,
		fmt.Sprintf(create, "the quick brown fox"),
	} {
		if err := scene(line); err != nil {
			return err
		}
	}
	if err := until("curl -sS http://127.0.0.1:8080/tasks/1", `"done":true`); err != nil {
		return err
	}
	for _, line := range []string{
		"curl -sS http://127.0.0.1:8080/stats",
		"kill -9 $(docker inspect -f '{{.State.Pid}}' tasks-worker-1)",
		fmt.Sprintf(create, "made while nobody works"),
	} {
		if err := scene(line); err != nil {
			return err
		}
	}
	if err := until("docker inspect -f 'restarts {{.RestartCount}}, {{.State.Health.Status}}' tasks-worker-1", "restarts 1, healthy"); err != nil {
		return err
	}
	if err := until("curl -sS http://127.0.0.1:8080/tasks/2", `"done":true`); err != nil {
		return err
	}
	return scene(`docker stats --no-stream --format 'table {{.Name}}\t{{.MemUsage}}\t{{.CPUPerc}}\t{{.PIDs}}'`)
}

// scene types a line, shows what comes back and fails as the line does.
func scene(line string) error {
	fmt.Printf("\n$ %s\n", line)
	took, status, output := timed("sh", "-c", line)
	fmt.Print(output)
	if status != 0 {
		return fmt.Errorf("%s: status %d", line, status)
	}
	fmt.Printf("[%d ms]\n", took.Milliseconds())
	return nil
}

// until types a line again until it answers with a text, and shows it once.
func until(line, text string) error {
	fmt.Printf("\n$ %s\n", line)
	var output string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if _, _, output = timed("sh", "-c", line); strings.Contains(output, text) {
			fmt.Print(output)
			return nil
		}
	}
	return fmt.Errorf("%s: still %q, not %q", line, output, text)
}

// startDocker runs dockerd with its state in the room.
func startDocker() (stop func(), err error) {
	dir := filepath.Join(room.Dir(), "docker")
	plugins := filepath.Join(dir, "cli-plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(filepath.Join(room.Dir(), "bin", "docker-compose"), filepath.Join(plugins, "docker-compose")); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"data-root":        filepath.Join(dir, "data"),
		"exec-root":        "/run/docker",
		"pidfile":          "/run/docker.pid",
		"hosts":            []string{"unix:///run/docker.sock"},
		"containerd":       "/run/containerd/containerd.sock",
		"exec-opts":        []string{"native.cgroupdriver=cgroupfs"},
		"cgroup-parent":    "/" + room.Name() + "-docker",
		"shutdown-timeout": 5,
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(file, config, 0o644); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(room.Dir(), "dockerd.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	for key, value := range map[string]string{
		"DOCKER_CONFIG": dir, "DOCKER_HOST": "unix:///run/docker.sock", "DOCKER_CLI_HINTS": "false",
	} {
		os.Setenv(key, value)
	}
	cmd := exec.Command("dockerd", "--config-file", file)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, status, _ := timed("docker", "version"); status == 0 {
			return stop, nil
		}
	}
	stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("dockerd does not answer; its log:\n%s", text)
}
