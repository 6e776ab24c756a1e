// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// ordinary is the user of a rootless Docker Engine.
const ordinary = 4242

// rootless is Docker's own script for a dockerd of an ordinary user, with the
// programs that it needs where that user can reach them.
type rootless struct {
	dir string // of the user
	env []string
}

// newRootless starts one and waits until it answers.
func newRootless(t *testing.T) *rootless {
	t.Helper()
	r := &rootless{dir: "/var/lib/rootless"}
	home, state := filepath.Join(r.dir, "home"), filepath.Join(r.dir, "run")
	var path []string
	for i, dir := range []string{
		filepath.Dir(harness.Shim()), harness.Built(t, "stack", "docker", "bin"), harness.Built(t, "stack", "rootless", "bin"),
		harness.Built(t, "stack", "containerd-"+harness.DefaultVersion, "bin"), harness.Built(t, "stack", "runc", "bin"),
	} {
		path = append(path, filepath.Join(r.dir, fmt.Sprint("bin", i)))
		bind(t, dir, path[i])
	}
	for _, dir := range []string{home, state} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, ordinary, ordinary); err != nil {
			t.Fatal(err)
		}
	}
	r.env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + state, "DOCKER_HOST=unix://" + state + "/docker.sock",
		"PATH=" + strings.Join(path, ":") + ":/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=/tmp", "DOCKER_CLI_HINTS=false"}
	makeUser(t, home)
	openTunnel(t, r.dir)

	log := &harness.Output{}
	daemon := r.command(filepath.Join(path[2], "dockerd-rootless.sh"))
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(unix.SIGTERM)
		_ = daemon.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	harness.Eventually(t, "the rootless dockerd answers", func() bool { return r.command("docker", "version").Run() == nil })
	return r
}

// bind mounts a folder elsewhere for the time of a test.
func bind(t *testing.T, source, target string) {
	t.Helper()
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, source, target)
}

func mount(t *testing.T, source, target string) {
	t.Helper()
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind %s to %s: %v", source, target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// makeUser has the user in the room's /etc, with ids to give to containers.
func makeUser(t *testing.T, home string) {
	t.Helper()
	for file, line := range map[string]string{
		"/etc/passwd": fmt.Sprintf("ordinary:x:%d:%d::%s:/bin/sh\n", ordinary, ordinary, home),
		"/etc/group":  fmt.Sprintf("ordinary:x:%d:\n", ordinary),
		"/etc/subuid": "ordinary:300000:65536\n", "/etc/subgid": "ordinary:300000:65536\n",
	} {
		before, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(before, line...), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.WriteFile(file, before, 0o644) })
	}
}

// openTunnel lets everybody open /dev/net/tun, as distributions do.
func openTunnel(t *testing.T, dir string) {
	t.Helper()
	const tunnel = "/dev/net/tun"
	node := filepath.Join(dir, "tun")
	if err := unix.Mknod(node, unix.S_IFCHR, int(unix.Mkdev(10, 200))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(node) })
	if err := os.Chmod(node, 0o666); err != nil {
		t.Fatal(err)
	}
	mount(t, node, tunnel)
}

// command is a command of the user.
func (r *rootless) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("setpriv", append([]string{"--reuid", fmt.Sprint(ordinary), "--regid", fmt.Sprint(ordinary),
		"--clear-groups", name}, args...)...)
	cmd.Env, cmd.Dir = r.env, r.dir
	return cmd
}

func (r *rootless) docker(t *testing.T, args ...string) *harness.Result {
	t.Helper()
	return harness.Execute(t, r.command("docker", args...))
}

func (r *rootless) load(t *testing.T, img image.Image) {
	t.Helper()
	var archive bytes.Buffer
	if err := img.Write(&archive); err != nil {
		t.Fatal(err)
	}
	cmd := r.command("docker", "load")
	cmd.Stdin = &archive
	harness.Execute(t, cmd).Exits(0)
}

// TestRootless runs containers under a dockerd without privileges: it has no
// cgroups here, makes no device nodes and mounts in a user namespace of its own.
func TestRootless(t *testing.T) {
	before := harness.Hold()
	t.Cleanup(func() { // the last of all
		for _, item := range harness.LeftSince(before) {
			t.Errorf("left behind: %s", item)
		}
	})
	r := newRootless(t)
	r.load(t, engine.LinuxBoxImage(t))
	r.load(t, engine.WasmBoxImage(t))
	guest, err := image.Copy("gonet.wasm", harness.Built(t, "guests-net", "gonet.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	r.load(t, image.Image{Name: "docker.io/library/gonet:latest", Files: append(harness.BaseFiles(), guest),
		Config: v1.ImageConfig{Entrypoint: []string{"/gonet.wasm"}}})

	for kind, options := range runtimes {
		run := func(before string, args ...string) *harness.Result {
			all := append([]string{"run"}, strings.Fields(before)...)
			return r.docker(t, append(append(all, options...), args...)...)
		}
		run("--rm", "echo", "hello").Is(0, "hello\n")
		run("--rm --network none", "exit", "7").Exits(7)
		run("--rm -m 64m", "echo", "hello").Is(0, "hello\n") // discarded by dockerd
		run("--rm -v of-"+kind+":/data", "write", "/data/file", "text").Is(0, "")
		run("--rm -v of-"+kind+":/data", "cat", "/data/file").Is(0, "text")
		run("--rm -u 1000", "write", "/file", "text").Exits(1)
		id := strings.TrimSpace(run("-d", "sleep", "1000000").Exits(0).Stdout)
		r.docker(t, "exec", id, "/box", "echo", "inside").Is(0, "inside\n")
		r.docker(t, "kill", id).Exits(0)
		r.docker(t, "wait", id).Is(0, "137\n")
		r.docker(t, "rm", id).Exits(0)
	}

	run := append([]string{"run", "-d", "--name", "server", "-p", "18500:7000"}, runtimes["wasm"][:4]...)
	r.docker(t, append(run, "gonet", "tcp-echo", "0.0.0.0:7000")...).Exits(0)
	harness.Eventually(t, "the guest listens", func() bool { return r.docker(t, "logs", "server").Stdout != "" })
	if err := echo("tcp", "127.0.0.1:18500", "through the published port"); err != nil {
		t.Error(err)
	}
	// What needs a cgroup is refused in one sentence.
	r.docker(t, "pause", "server").Exits(1).Complains("this rootless container has none: delegate cgroups")
	hostPids := append([]string{"run", "--rm", "--pid", "host"}, runtimes["wasm"]...)
	r.docker(t, append(hostPids, "true")...).Exits(125).Complains("without a cgroup a container needs a pid namespace of its own")

	// The container's processes end with its shim.
	pid := r.processOf(t, "server")
	if err := unix.Kill(parent(t, pid), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.docker(t, "wait", "server").Is(0, "137\n")
	harness.Eventually(t, "the guest has ended with its shim", func() bool { return !alive(pid) })
	r.docker(t, "rm", "server").Exits(0)
}

// processOf is a container's process.
func (r *rootless) processOf(t *testing.T, name string) (pid int) {
	t.Helper()
	text := r.docker(t, "inspect", "-f", "{{.State.Pid}}", name).Exits(0).Stdout
	if _, err := fmt.Sscan(text, &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// parent is the process that a process was started by.
func parent(t *testing.T, pid int) (ppid int) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "ppid=", "-p", fmt.Sprint(pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &ppid); err != nil {
		t.Fatal(err)
	}
	return ppid
}
