// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// linux describes a container of busybox in the pod.
func (p *pod) linux(name string, command ...string) object {
	config := p.container(name, command...)
	config["image"] = object{"image": harness.Busybox}
	return config
}

// withMount adds a folder of the host to a container.
func withMount(config object, host, container string) object {
	config["mounts"] = []object{{"host_path": host, "container_path": container}}
	return config
}

// mixedPod has a Wasm container and a Linux one that share the pod's network, by
// which each asks the other, and a folder.
func mixedPod(t *testing.T, node *harness.Node) {
	volume := t.TempDir()
	if err := os.Chmod(volume, 0o777); err != nil {
		t.Fatal(err)
	}
	p := newPod(t, node).annotate("listen.web", "tcp:8080").run()
	web := p.startConfig(withMount(p.container("web", "/box.wasm", "echo", "begun", ",", "write", "/shared/wasm", "from wasm", ",", "serve", "3", "1"), volume, "/shared"))
	p.expectLog(web, "begun")
	side := p.startConfig(withMount(p.linux("side", "sh", "-c",
		"cat /shared/wasm; echo; hostname; echo ping | nc 127.0.0.1 8080; echo from linux > /shared/linux; exec sleep 600000"), volume, "/shared"))
	p.expectLog(side, "from wasm\nin-the-pod\nping\n")
	reader := p.startConfig(withMount(p.container("reader", "/box.wasm", "cat", "/shared/linux"), volume, "/shared"))
	p.expectLog(reader, "from linux")

	pause, linux := p.inspect().Info.Pid, p.inspectContainer(side).Info.Pid
	for _, kind := range []string{"net", "ipc", "uts"} {
		if got, want := namespace(t, linux, kind), namespace(t, pause, kind); got != want {
			t.Errorf("the Linux container is in %s, the pod in %s", got, want)
		}
	}
	if shim, own := parent(t, linux), parent(t, pause); parent(t, shim) != own {
		t.Errorf("the shim for runc (%d) is no child of the pod's (%d)", shim, own)
	}
	// A server in the Linux container, asked by a module.
	server := p.startConfig(p.linux("server", "sh", "-c", "echo ready; echo answer | nc -l -p 9000"))
	p.expectLog(server, "ready")
	asked := p.startConfig(p.container("asks", "/reach.wasm", "tcp", "127.0.0.1", "9000"))
	p.waitState(asked, "CONTAINER_EXITED")
	p.waitState(server, "CONTAINER_EXITED")
}

// mixedExec runs commands in a pod's Linux container, with and without terminal.
func mixedExec(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	wasm := p.start("app", "sleep", "600000")
	id := p.startConfig(p.linux("side", "sleep", "600000"))
	node.Crictl(t, "exec", "--sync", id, "echo", "hi").Exits(0).Prints("hi\n")
	node.Crictl(t, "exec", "--sync", id, "sh", "-c", "exit 7").Exits(1).Complains("7")
	node.CrictlStdin(t, "typed\n", "exec", "-i", id, "cat").Exits(0).Prints("typed\n")
	node.Crictl(t, "exec", "--sync", wasm, "/box.wasm", "echo", "beside").Exits(0).Prints("beside\n")
	node.Crictl(t, "exec", "--sync", id, "absent").Exits(1).Complains("absent")
}

// mixedAttach types into a Linux container, which ends with its input.
func mixedAttach(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	config := p.linux("app", "sh", "-c", "read line; echo got $line")
	config["stdin"], config["stdin_once"] = true, true
	id := p.startConfig(config)
	node.CrictlStdin(t, "hello\n", "attach", "-i", id).Exits(0)
	p.expectLog(id, "got hello\n")
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != 0 {
		t.Errorf("exit code %d, want 0", c.Status.ExitCode)
	}
}

// mixedUserNamespace: a Linux container is in the user namespace of its pod.
func mixedUserNamespace(t *testing.T, node *harness.Node) {
	mapping := []object{{"host_id": 200000, "container_id": 0, "length": 65536}}
	userns := object{"userns_options": object{"mode": modePod, "uids": mapping, "gids": mapping}}
	p := newPod(t, node).namespaces(userns).run()
	p.start("app", "sleep", "600000")
	id := p.startConfig(p.linux("side", "sh", "-c", "id -u; exec sleep 600000"))
	p.expectLog(id, "0\n")
	pause, linux := p.inspect().Info.Pid, p.inspectContainer(id).Info.Pid
	if a, b := namespace(t, pause, "user"), namespace(t, linux, "user"); a != b || a == namespace(t, 1, "user") {
		t.Errorf("user namespaces: pause %s, Linux container %s", a, b)
	}
	if uids := strings.Fields(status(t, linux, "Uid")); uids[0] != "200000" {
		t.Errorf("the Linux container runs as %v, want 200000", uids)
	}
}

// mixedLife is a Linux container from its start to its end in every way.
func mixedLife(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	for _, test := range []struct {
		name    string
		command []string
		code    int
	}{
		{"zero", []string{"true"}, 0},
		{"status", []string{"sh", "-c", "exit 42"}, 42},
		{"signal", []string{"sh", "-c", "sh -c 'kill -9 $$'; exit $?"}, 137},
	} {
		id := p.startConfig(p.linux(test.name, test.command...))
		if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != test.code {
			t.Errorf("%s: exit code %d, want %d", test.name, c.Status.ExitCode, test.code)
		}
	}
	// A script is the shell's to run.
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "run"), []byte("#!/bin/sh\necho a script\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := p.startConfig(withMount(p.linux("script", "/scripts/run"), volume, "/scripts"))
	p.waitState(script, "CONTAINER_EXITED")
	p.expectLog(script, "a script\n")

	id := p.startConfig(p.linux("side", "sh", "-c", "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.1; done"))
	p.expectLog(id, "up")
	node.Crictl(t, "stop", "--timeout", "10", id).Exits(0)
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != 3 {
		t.Errorf("exit code %d after TERM, want the handler's 3", c.Status.ExitCode)
	}
	node.Crictl(t, "rm", id).Exits(0)
	if c := p.inspect(); c.Status.State != "SANDBOX_READY" {
		t.Errorf("the pod is %s", c.Status.State)
	}
	// Without Linux containers there is no shim for runc either.
	for _, line := range strings.Fields(node.Crictl(t, "ps", "-aq", "--pod", p.ID).Exits(0).Stdout) {
		node.Crictl(t, "rm", line).Exits(0)
	}
	shim := parent(t, p.inspect().Info.Pid)
	harness.Eventually(t, "the shim for runc has ended", func() bool { return len(children(t, shim)) == 1 })
	again := p.startConfig(p.linux("again", "true"))
	p.waitState(again, "CONTAINER_EXITED")
}

// children are the pids of a process's children.
func children(t testing.TB, pid int) []string {
	t.Helper()
	var all []string
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}

// mixedLimits are the kernel's for a Linux container, as under runc.
func mixedLimits(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	config := p.linux("eater", "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
	config["linux"].(object)["resources"] = object{"memory_limit_in_bytes": 32 << 20}
	id := p.startConfig(config)
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != 137 {
		t.Errorf("exit code %d, want 137", c.Status.ExitCode)
	}
	// The reason comes by an event of its own, before or after the exit's.
	harness.Eventually(t, "the container is said to be OOMKilled", func() bool {
		return p.inspectContainer(id).Status.Reason == "OOMKilled"
	})
	id = p.startConfig(p.linux("side", "sleep", "600000"))
	node.Crictl(t, "update", "--memory", fmt.Sprint(64<<20), id).Exits(0)
	var stats struct {
		Stats []struct {
			Memory struct {
				Usage struct {
					Value string `json:"value"`
				} `json:"workingSetBytes"`
			} `json:"memory"`
		} `json:"stats"`
	}
	node.CrictlJSON(t, &stats, "stats", "-a", "-o", "json", id)
	if len(stats.Stats) != 1 || stats.Stats[0].Memory.Usage.Value == "" || stats.Stats[0].Memory.Usage.Value == "0" {
		t.Errorf("no figures of a Linux container: %+v", stats)
	}
}

// mixedPause freezes a Linux container; the Wasm container beside it goes on.
func mixedPause(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	wasm := p.start("app", "sleep", "600000")
	id := p.startConfig(p.linux("side", "sh", "-c", "while :; do echo tick; sleep 0.1; done"))
	p.expectLog(id, "tick")
	node.Ctr(t, "task", "pause", id).Exits(0)
	if !frozen(t, p.inspectContainer(id).Info.Pid) {
		t.Error("the paused container is not frozen")
	}
	if frozen(t, p.inspectContainer(wasm).Info.Pid) {
		t.Error("the container beside it is frozen too")
	}
	node.Crictl(t, "exec", "--sync", wasm, "/box.wasm", "echo", "beside").Exits(0).Prints("beside\n")
	node.Crictl(t, "exec", "--sync", id, "true").Exits(1).Complains("paused")
	node.Ctr(t, "task", "resume", id).Exits(0)
	ticks := func() int { return strings.Count(node.Crictl(t, "logs", id).Exits(0).Stdout, "tick\n") }
	before := ticks()
	harness.Eventually(t, "the container goes on", func() bool { return ticks() > before })
	// A paused one can be stopped.
	node.Ctr(t, "task", "pause", id).Exits(0)
	node.Crictl(t, "stop", "--timeout", "0", id).Exits(0)
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != 137 {
		t.Errorf("exit code %d, want 137", c.Status.ExitCode)
	}
}

// frozen says whether a process's cgroup is.
func frozen(t testing.TB, pid int) bool {
	t.Helper()
	dir, unified := cgroup(t, pid, "freezer")
	file, word := "freezer.state", "FROZEN"
	if unified {
		file, word = "cgroup.events", "frozen 1"
	}
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), word)
}

// mixedProcesses: in a shared pid namespace both kinds see each other's processes.
func mixedProcesses(t *testing.T, node *harness.Node) {
	p := newPod(t, node).namespaces(object{"pid": modePod}).run()
	wasm := p.start("app", "sleep", "600000")
	id := p.startConfig(p.linux("side", "sleep", "600000"))
	pause := p.inspect().Info.Pid
	for _, c := range []string{wasm, id} {
		if got, want := namespace(t, p.inspectContainer(c).Info.Pid, "pid"), namespace(t, pause, "pid"); got != want {
			t.Errorf("a container is in %s, the pod in %s", got, want)
		}
	}
	node.Crictl(t, "exec", "--sync", id, "ps").Exits(0).Prints("/box.wasm sleep")
}

// mixedRestart: both kinds of container outlive containerd.
func mixedRestart(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	wasm := p.start("app", "sleep", "600000")
	id := p.startConfig(p.linux("side", "sleep", "600000"))
	before := p.inspectContainer(id).Info.Pid
	node.Crash()
	node.Start(t)
	harness.Eventually(t, "CRI answers", func() bool { return node.Crictl(t, "version").Status == 0 })
	for _, c := range []string{wasm, id} {
		p.waitState(c, "CONTAINER_RUNNING")
	}
	if c := p.inspectContainer(id); c.Info.Pid != before {
		t.Errorf("the Linux container is process %d, was %d", c.Info.Pid, before)
	}
	node.Crictl(t, "exec", "--sync", id, "echo", "alive").Exits(0).Prints("alive\n")
	node.Crictl(t, "stop", "--timeout", "0", id).Exits(0)
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != 137 {
		t.Errorf("exit code %d, want 137", c.Status.ExitCode)
	}
}

// mixedShimKilled: nothing of either kind survives the pod's shim.
func mixedShimKilled(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	wasm, id := p.start("app", "spin"), p.startConfig(p.linux("side", "sleep", "600000"))
	p.endsWith(parent(t, p.inspect().Info.Pid), wasm, id)
}

// runcShimKilled: the pod ends as a whole, as it does under runc's own shim.
func runcShimKilled(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	wasm, id := p.start("app", "spin"), p.startConfig(p.linux("side", "sleep", "600000"))
	p.endsWith(parent(t, p.inspectContainer(id).Info.Pid), wasm, id)
}

// endsWith kills a process, with which these containers and the pod end.
func (p *pod) endsWith(pid int, containers ...string) {
	p.t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	for _, id := range containers {
		p.waitState(id, "CONTAINER_EXITED")
	}
	harness.Eventually(p.t, "the pod is not ready", func() bool {
		return p.inspect().Status.State == "SANDBOX_NOTREADY"
	})
	p.node.Crictl(p.t, "stopp", p.ID).Exits(0)
	p.node.Crictl(p.t, "rmp", p.ID).Exits(0)
}

// TestWithoutRunc: a Linux program in a pod is refused where there is no runc,
// in a sentence and for that container alone.
func TestWithoutRunc(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion, harness.WithCRI(),
		harness.WithEnv("PATH="+filepath.Dir(harness.Shim())+":/usr/sbin:/usr/bin:/sbin:/bin"))
	node.ImportCRI(t, harness.PauseImage(), harness.GuestsImage(t), harness.BusyboxImage(t))
	p := newPod(t, node).run()
	id := p.create(p.linux("side", "sleep", "600000"))
	node.Crictl(t, "start", id).Exits(1).Complains("Linux program", "containerd-shim-runc-v2", "install it")
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.Reason != "StartError" {
		t.Errorf("the reason is %s", c.Status.Reason)
	}
	wasm := p.start("app", "true")
	p.waitState(wasm, "CONTAINER_EXITED")
}
