// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package engine runs tests against a real Docker Engine in a clean room,
// driven by the real command line: dockerd on a containerd of its own with
// the shim built from this tree, docker, buildx and compose.
//
//	e := engine.Shared(t)
//	e.Docker(t, "run", "--rm", "--runtime", engine.Runtime, engine.Box, "echo", "hi").Is(0, "hi\n")
//	e.Shell(t, "docker compose up -d --wait").Exits(0)
//
// Whatever a test leaves behind (containers, processes, mounts, cgroups,
// files under /run, bundles) fails it.
package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// Runtime is the shim under test, as in docker run --runtime.
const Runtime = harness.Runtime

// Engine is one dockerd and its containerd.
type Engine struct {
	// Node is the containerd that dockerd uses.
	Node *harness.Node

	config map[string]any // daemon.json
	name   string
	root   string // persistent state
	state  string // run-time state, under /run
	log    string
	cmd    *exec.Cmd

	mu      sync.Mutex
	images  map[string]bool // those loaded
	watched map[string]bool // tests whose leftovers are looked for
	proxy   string          // of Go modules, once it was asked for
}

// An Option changes an engine before its start.
type Option func(*Engine)

// WithConfig sets a key of daemon.json.
func WithConfig(key string, value any) Option {
	return func(e *Engine) { e.config[key] = value }
}

var (
	engines atomic.Int32
	shared  = struct {
		sync.Mutex
		engine *Engine
	}{}
)

// Main is the body of a package's TestMain; parts of hack/stack.sh beyond
// Docker's may be named.
func Main(m *testing.M, parts ...string) {
	harness.Main(m, append([]string{"docker"}, parts...)...)
}

// Shared is an engine that all tests use which leave it as they found it; it
// ends with the room.
func Shared(t testing.TB) *Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.engine == nil {
		shared.engine = newEngine(harness.Shared(t))
	}
	if shared.engine.cmd == nil {
		shared.engine.Start(t)
	}
	return shared.engine
}

// New starts an engine with a containerd of its own for one test. The shared
// one is stopped until it is asked for again: a network namespace has one
// docker0, and a second dockerd takes it, with its address, from the first.
func New(t testing.TB, options ...Option) *Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.engine != nil {
		shared.engine.Stop()
	}
	e := newEngine(harness.New(t, harness.DefaultVersion))
	for _, option := range options {
		option(e)
	}
	e.Start(t)
	t.Cleanup(func() {
		e.Remove(t)
		e.Stop()
	})
	return e
}

func newEngine(node *harness.Node) *Engine {
	number := engines.Add(1)
	name := fmt.Sprintf("docker%d", number)
	e := &Engine{
		Node: node, name: name,
		root:    filepath.Join("/var/lib", name),
		state:   filepath.Join("/run", name),
		log:     filepath.Join(room.Dir(), name+".log"),
		images:  map[string]bool{},
		watched: map[string]bool{},
	}
	e.config = map[string]any{
		"data-root":  filepath.Join(e.root, "data"),
		"exec-root":  filepath.Join(e.state, "exec"),
		"pidfile":    filepath.Join(e.state, "pid"),
		"hosts":      []string{"unix://" + e.Socket()},
		"containerd": node.Address,
		"exec-opts":  []string{"native.cgroupdriver=cgroupfs"},
		// The room's name lets leftovers be told from the machine's cgroups.
		"cgroup-parent": "/" + room.Name() + "-" + name,
		"init-path":     "/usr/bin/tini-static",
		// Each engine has networks of its own, apart from the room's.
		"bip":                   fmt.Sprintf("10.%d.0.1/24", 100+number),
		"default-address-pools": []map[string]any{{"base": fmt.Sprintf("10.%d.0.0/16", 150+number), "size": 24}},
		"shutdown-timeout":      5,
		// docker checkpoint is there only so.
		"experimental": true,
	}
	return e
}

// Socket is the path of the API's socket.
func (e *Engine) Socket() string { return filepath.Join(e.state, "docker.sock") }

// Start starts dockerd and waits until it answers.
func (e *Engine) Start(t testing.TB) {
	t.Helper()
	for _, dir := range []string{e.root, e.state, e.plugins()} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	for _, plugin := range []string{"docker-buildx", "docker-compose"} {
		if err := os.Symlink(Program(t, plugin), filepath.Join(e.plugins(), plugin)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if err := e.launch(t); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "dockerd answers; its log:\n"+e.tail(0), func() bool {
		return e.command(t, "docker", "version").Run() == nil
	})
}

func (e *Engine) launch(t testing.TB) error {
	text, err := json.MarshalIndent(e.config, "", "  ")
	if err != nil {
		return err
	}
	config := filepath.Join(e.root, "daemon.json")
	if err := os.WriteFile(config, text, 0o644); err != nil {
		return err
	}
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(Program(t, "dockerd"), "--config-file", config)
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, e.Env(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	e.cmd = cmd
	return cmd.Start()
}

// Stop ends dockerd as an init system does; its containerd goes on.
func (e *Engine) Stop() { e.End(unix.SIGTERM) }

// End ends dockerd by a signal.
func (e *Engine) End(signal syscall.Signal) {
	if e.cmd == nil || e.cmd.Process == nil {
		return
	}
	_ = e.cmd.Process.Signal(signal)
	_ = e.cmd.Wait()
	e.cmd = nil
}

// Program is the path of a program of the engine: "docker", "dockerd" …
func Program(t testing.TB, name string) string {
	t.Helper()
	return harness.Built(t, "stack", "docker", "bin", name)
}

func (e *Engine) plugins() string { return filepath.Join(e.root, "config", "cli-plugins") }

// Env is an environment in which "docker" is the command line of this engine.
func (e *Engine) Env(t testing.TB) []string {
	t.Helper()
	return []string{
		"PATH=" + filepath.Dir(Program(t, "docker")) + ":" + e.Node.Path(t),
		"HOME=/root", "LANG=C.UTF-8", "TERM=xterm", "TMPDIR=" + os.TempDir(),
		"DOCKER_HOST=unix://" + e.Socket(),
		"DOCKER_CONFIG=" + filepath.Dir(e.plugins()),
		"DOCKER_CLI_HINTS=false", "BUILDKIT_PROGRESS=plain",
	}
}

func (e *Engine) command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if name == "docker" {
		name = Program(t, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = e.Env(t)
	return cmd
}

// Docker runs the command line with these arguments.
func (e *Engine) Docker(t testing.TB, args ...string) *harness.Result {
	t.Helper()
	e.watch(t)
	return harness.Execute(t, e.command(t, "docker", args...))
}

// Shell runs a line of shell in a folder; env is added to the environment.
func (e *Engine) Shell(t testing.TB, dir, line string, env ...string) *harness.Result {
	t.Helper()
	e.watch(t)
	return harness.Execute(t, e.ShellCommand(t, dir, line, env...))
}

// ShellCommand is Shell before it runs.
func (e *Engine) ShellCommand(t testing.TB, dir, line string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := e.command(t, "sh", "-c", line)
	cmd.Dir, cmd.Env = dir, append(cmd.Env, env...)
	return cmd
}

// Ask is what the command line prints, without spaces around; it must
// succeed.
func (e *Engine) Ask(t testing.TB, args ...string) string {
	t.Helper()
	return strings.TrimSpace(e.Docker(t, args...).Exits(0).Stdout)
}

// tail is the end of dockerd's log, from an offset on.
func (e *Engine) tail(from int64) string {
	const most = 8192
	b, _ := os.ReadFile(e.log)
	b = b[min(from, int64(len(b))):]
	return string(b[max(0, len(b)-most):])
}

// Command is Docker before it runs.
func (e *Engine) Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	e.watch(t)
	return e.command(t, "docker", args...)
}
