// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgroup2

package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// dockerSlice is where dockerd's containers are, as its cgroup-parent says.
const dockerSlice = "guests-docker.slice"

// dockerKinds has the options and the image of docker run by the runtime that
// they choose: runc is the oracle.
var dockerKinds = map[string][]string{
	"wasm":  {"--runtime", engine.Runtime, "--platform", "wasi/wasm", engine.Box},
	"linux": {engine.LinuxBox},
}

// TestDocker is a round with dockerd as a user's machine has it: the systemd
// driver, and its own AppArmor profile around every container.
func TestDocker(t *testing.T) {
	e := engine.New(t, engine.WithConfig("exec-opts", []string{"native.cgroupdriver=systemd"}),
		engine.WithConfig("cgroup-parent", dockerSlice))
	info := e.Ask(t, "info", "-f", "{{.CgroupDriver}} {{.CgroupVersion}} {{.SecurityOptions}}")
	if !strings.HasPrefix(info, "systemd 2 ") || !strings.Contains(info, "name=apparmor") {
		t.Fatalf("docker info says %q", info)
	}
	e.Load(t, engine.WasmBoxImage(t))
	e.Load(t, engine.LinuxBoxImage(t))
	round{e, t, "linux"}.confined("oracle")
	round{e, t, "wasm"}.life()
}

// round is the life of containers of one runtime.
type round struct {
	*engine.Engine
	t    *testing.T
	kind string
}

func (r round) docker(options string, args ...string) *harness.Result {
	r.t.Helper()
	all := append([]string{"run"}, strings.Fields(options)...)
	return r.Docker(r.t, append(append(all, dockerKinds[r.kind]...), args...)...)
}

func (r round) inspect(name, format string) string {
	r.t.Helper()
	return r.Ask(r.t, "inspect", "-f", format, name)
}

// found is a running container: its process and its cgroup.
type found struct {
	pid   int
	group string
}

// find wants a container of dockerd's profile in a scope of its slice, and
// the kernel to say so of every thread.
func (r round) find(name, profile string) (f found) {
	r.t.Helper()
	fields := strings.Fields(r.inspect(name, "{{.Id}} {{.State.Pid}} {{.AppArmorProfile}}"))
	if len(fields) != 3 || fields[2] != profile {
		r.t.Fatalf("inspect has %q, want the profile %s", fields, profile)
	}
	f.pid, _ = strconv.Atoi(fields[1])
	f.group = filepath.Join(cgroupRoot, slice, dockerSlice, "docker-"+fields[0]+".scope")
	if got := cgroupOf(r.t, f.pid); got != f.group {
		r.t.Errorf("%s runs in %s, want %s", name, got, f.group)
	}
	r.labelled(f.pid, label(profile))
	return f
}

// label is how the kernel calls a profile.
func label(profile string) string {
	if profile == "unconfined" {
		return profile
	}
	return profile + " (enforce)"
}

// labelled wants every thread of a process under a profile.
func (r round) labelled(pid int, want string) {
	r.t.Helper()
	labels, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/attr/current", pid))
	if err != nil || len(labels) == 0 {
		r.t.Fatalf("threads of %d: %v, %v", pid, labels, err)
	}
	for _, label := range labels {
		if got, _ := os.ReadFile(label); strings.TrimSpace(string(got)) != want {
			r.t.Errorf("%s: %q, want %q", label, got, want)
		}
	}
}

// confined is a container under dockerd's profile.
func (r round) confined(name string) found {
	r.t.Helper()
	r.docker("-d --restart always -m 64m -p 127.0.0.1::80 --name "+name, "sleep", "1000000").Exits(0)
	return r.find(name, "docker-default")
}

// life is what a user does with one.
func (r round) life() {
	t, name := r.t, "guest"
	r.docker("--rm", "echo", "hi", ",", "exit", "42").Is(42, "hi\n")
	guest := r.confined(name)
	r.Docker(t, "exec", name, "/box", "echo", "in", "exec").Is(0, "in exec\n")
	r.Docker(t, "exec", "-d", name, "/box", "sleep", "2000000").Exits(0)
	harness.Eventually(t, "two guests in the cgroup", func() bool { return len(guests(guest.group)) == 2 })
	for _, pid := range guests(guest.group) {
		r.labelled(pid, label("docker-default"))
	}
	r.Docker(t, "stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name).Exits(0).Prints(" / 64MiB ")
	r.Docker(t, "update", "-m", "96m", "--memory-swap", "96m", name).Exits(0)
	if got, _ := os.ReadFile(filepath.Join(guest.group, "memory.max")); strings.TrimSpace(string(got)) != "100663296" {
		t.Errorf("memory.max is %q after an update to 96 MiB", got)
	}

	if err := unix.Kill(guest.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the killed container runs again", func() bool {
		return r.inspect(name, "{{.RestartCount}} {{.State.Running}}") == "1 true"
	})
	if again := r.find(name, "docker-default"); again.pid == guest.pid {
		t.Errorf("process %d again", again.pid)
	}
	r.Docker(t, "stop", "-t", "60", name).Exits(0)
	if got := r.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"); got != "exited 143" {
		t.Errorf("stopped, it is %q", got)
	}

	r.docker("--name full -m 48m --memory-swap 48m --tmpfs /t", "fill", "/t/f", "200").Exits(137)
	if got := r.inspect("full", "{{.State.OOMKilled}} {{.State.ExitCode}}"); got != "true 137" {
		t.Errorf("out of memory, it is %q", got)
	}
	r.docker("-d --security-opt apparmor=unconfined --name free", "sleep", "1000000").Exits(0)
	r.find("free", "unconfined")
}

// guests are the processes of a cgroup that run box: beside them is one of the
// shim's that holds systemd's scope.
func guests(group string) (pids []int) {
	b, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	for _, pid := range strings.Fields(string(b)) {
		cmdline, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if bytes.HasPrefix(cmdline, []byte("/box\x00")) {
			number, _ := strconv.Atoi(pid)
			pids = append(pids, number)
		}
	}
	return pids
}
