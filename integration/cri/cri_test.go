// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/harness"
)

// podTests are what every version of containerd runs, in both ways it makes pods.
var podTests = []struct {
	name string
	run  func(*testing.T, *harness.Node)
}{
	{"life", life},
	{"exec", execs},
	{"attach", attach},
	{"two containers", twoContainers},
	{"shared processes", sharedProcesses},
	{"annotations", annotations},
	{"names in the log", namesInLog},
	{"files of the pod", podFiles},
	{"memory of the host", hostShm},
	{"refused", podRefused},
	{"host network", hostNetwork},
	{"pause answers", pauseAnswers},
	{"errors", errorTexts},
	{"bad input", badInput},
	{"memory limit", memoryLimit},
	{"mixed pod", mixedPod},
	{"mixed exec", mixedExec},
	{"mixed attach", mixedAttach},
	{"mixed life", mixedLife},
	{"mixed limits", mixedLimits},
	{"mixed pause", mixedPause},
	{"mixed shared processes", mixedProcesses},
	{"mixed restart", mixedRestart},
	{"mixed shim is killed", mixedShimKilled},
	{"shim for runc is killed", runcShimKilled},
	{"images", images},
	{"pulls", pulls},
	{"containerd crashes", restart},
	{"shim is killed", shimKilled},
}

func runPodTests(t *testing.T, version string, options ...harness.Option) {
	node := harness.New(t, version, append(options, harness.WithCRI())...)
	node.ImportCRI(t, harness.PauseImage(), harness.GuestsImage(t), harness.BusyboxImage(t))
	for _, test := range podTests {
		t.Run(test.name, func(t *testing.T) { test.run(t, node) })
	}
	if version != "1.7" {
		t.Run("user namespace", func(t *testing.T) { userNamespace(t, node) })
		t.Run("mixed user namespace", func(t *testing.T) { mixedUserNamespace(t, node) })
	}
}

// TestPods has each version of containerd run the same pods.
func TestPods(t *testing.T) {
	for _, version := range harness.Versions() {
		t.Run(version, func(t *testing.T) { runPodTests(t, version) })
	}
}

// TestSandboxAPI has them made by the shim itself. Before 2.3 containerd does so
// only when told by its environment (1.7), or ends itself over a pod in the host's
// network (2.0, 2.2).
func TestSandboxAPI(t *testing.T) {
	for _, version := range harness.Versions() {
		if version < "2.3" {
			continue
		}
		t.Run(version, func(t *testing.T) { runPodTests(t, version, harness.WithSandboxer("shim")) })
	}
}

// life is a pod from its start to its removal, with logs and figures.
func life(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	if c := p.inspect(); c.Status.State != "SANDBOX_READY" || !strings.HasPrefix(c.Status.Network.IP, harness.PodNetwork) {
		t.Errorf("the pod is %s at %q", c.Status.State, c.Status.Network.IP)
	}
	id := p.start("app", "echo", "out", ",", "err", "complaint", ",", "cat", "/etc/hostname", ",", "sleep", "600000")
	p.expectLog(id, "out\n")
	p.expectLog(id, "in-the-pod\n")
	node.Crictl(t, "logs", id).Complains("complaint\n")

	var stats struct {
		Stats []struct {
			CPU struct {
				Usage struct {
					Value string `json:"value"`
				} `json:"usageCoreNanoSeconds"`
			} `json:"cpu"`
			Memory struct {
				WorkingSet struct {
					Value string `json:"value"`
				} `json:"workingSetBytes"`
			} `json:"memory"`
		} `json:"stats"`
	}
	node.CrictlJSON(t, &stats, "stats", "--id", id, "-o", "json")
	if len(stats.Stats) != 1 || len(stats.Stats[0].CPU.Usage.Value) < 6 || len(stats.Stats[0].Memory.WorkingSet.Value) < 6 {
		t.Errorf("stats %+v, want a millisecond and a hundred kilobytes at least", stats)
	}
	node.Crictl(t, "statsp", "--id", p.ID, "-o", "json").Exits(0).Prints(p.ID)

	begin := time.Now()
	node.Crictl(t, "stop", "--timeout", "20", id).Exits(0)
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("stop took %s, the grace period in full", took)
	}
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != 143 {
		t.Errorf("exit code %d, want 143", c.Status.ExitCode)
	}
	node.Crictl(t, "rm", id).Exits(0)
	done := p.start("job", "exit", "7")
	if c := p.waitState(done, "CONTAINER_EXITED"); c.Status.ExitCode != 7 || c.Status.Reason != "Error" {
		t.Errorf("exit code %d (%s), want 7 (Error)", c.Status.ExitCode, c.Status.Reason)
	}
	node.Crictl(t, "stopp", p.ID).Exits(0)
	if c := p.inspect(); c.Status.State != "SANDBOX_NOTREADY" {
		t.Errorf("the stopped pod is %s", c.Status.State)
	}
	node.Crictl(t, "rmp", p.ID).Exits(0)
	node.Crictl(t, "pods", "-q", "--id", p.ID).Is(0, "")
}

func execs(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	id := p.start("app", "sleep", "600000")
	node.Crictl(t, "exec", "--sync", id, "/box.wasm", "echo", "from", "exec").Exits(0).Prints("from exec\n")
	node.Crictl(t, "exec", "--sync", id, "/box.wasm", "exit", "3").Exits(1).Complains("3")
	node.CrictlStdin(t, "typed\n", "exec", "-i", id, "/box.wasm", "answer").Is(0, "got typed\n")
	node.Crictl(t, "exec", "--sync", id, "/absent.wasm").Exits(1).Complains("/absent.wasm")
}

func attach(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	config := p.container("app", "/box.wasm", "answer")
	config["stdin"], config["stdin_once"] = true, true
	id := p.startConfig(config)
	node.CrictlStdin(t, "hello\n", "attach", "-i", id).Exits(0)
	p.expectLog(id, "got hello\n")
	if c := p.waitState(id, "CONTAINER_EXITED"); c.Status.ExitCode != 0 || c.Status.Reason != "Completed" {
		t.Errorf("exit code %d (%s), want 0 (Completed)", c.Status.ExitCode, c.Status.Reason)
	}
}

// twoContainers share the pod's namespaces and one shim.
func twoContainers(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	pause := p.inspect().Info.Pid
	one := p.inspectContainer(p.start("one", "sleep", "600000")).Info.Pid
	two := p.inspectContainer(p.start("two", "sleep", "600000")).Info.Pid
	for _, kind := range []string{"net", "ipc", "uts"} {
		pod := namespace(t, pause, kind)
		if pod == namespace(t, 1, kind) {
			t.Errorf("the pod is in the host's %s namespace", kind)
		}
		for _, pid := range []int{one, two} {
			if got := namespace(t, pid, kind); got != pod {
				t.Errorf("a container is in %s, the pod in %s", got, pod)
			}
		}
	}
	for _, kind := range []string{"pid", "mnt"} {
		a, b, c := namespace(t, pause, kind), namespace(t, one, kind), namespace(t, two, kind)
		if a == b || b == c || a == c {
			t.Errorf("containers share a %s namespace: %s, %s, %s", kind, a, b, c)
		}
	}
	shim := parent(t, pause)
	if a, b := parent(t, one), parent(t, two); a != shim || b != shim {
		t.Errorf("parents are %d, %d and %d, want one shim", shim, a, b)
	}
}

// sharedProcesses is shareProcessNamespace: pause is process 1 of all.
func sharedProcesses(t *testing.T, node *harness.Node) {
	p := newPod(t, node).namespaces(object{"pid": modePod}).run()
	id := p.start("app", "sleep", "600000")
	pause, app := p.inspect().Info.Pid, p.inspectContainer(id).Info.Pid
	if a, b := namespace(t, pause, "pid"), namespace(t, app, "pid"); a != b || a == namespace(t, 1, "pid") {
		t.Errorf("pid namespaces: pause %s, container %s", a, b)
	}
	if inner := strings.Fields(status(t, pause, "NSpid")); len(inner) != 2 || inner[1] != "1" {
		t.Errorf("pause is %v, want process 1 of its namespace", inner)
	}
	node.Crictl(t, "exec", "--sync", id, "/box.wasm", "echo", "beside").Exits(0).Prints("beside\n")
	node.Crictl(t, "stop", "--timeout", "0", id).Exits(0)
	if c := p.inspect(); c.Status.State != "SANDBOX_READY" {
		t.Errorf("the pod is %s after its container's end", c.Status.State)
	}
	again := p.start("again", "true")
	p.waitState(again, "CONTAINER_EXITED")
}

// namesInLog: a line of the shim names the pod and the container.
func namesInLog(t *testing.T, node *harness.Node) {
	p := newPod(t, node).annotate("timeout.brief", "300ms").run()
	id := p.start("brief", "sleep", "600000")
	p.waitState(id, "CONTAINER_EXITED")
	pod := p.config["metadata"].(object)["name"].(string)
	harness.Eventually(t, "the log names the pod and the container", func() bool {
		for line := range strings.Lines(node.Log(t)) {
			if strings.Contains(line, "has run for its timeout of 300ms") &&
				strings.Contains(line, "container="+id) &&
				strings.Contains(line, "container_name=brief") && strings.Contains(line, "pod=default/"+pod) {
				return true
			}
		}
		return false
	})
}

// annotations grant to the one container that their key names.
func annotations(t *testing.T, node *harness.Node) {
	p := newPod(t, node).annotate("listen.web", "tcp:8080").annotate("preopens.job", "/etc:ro").run()
	web := p.start("web", "echo", "begun", ",", "serve", "3", "1")
	job := p.start("job", "try", "ls", "/home", ",", "ls", "/etc")
	p.waitState(job, "CONTAINER_EXITED")
	p.expectLog(job, "there\n")
	p.expectLog(job, "box: /home: ")

	p.expectLog(web, "begun")
	conn, err := net.DialTimeout("tcp", p.inspect().Status.Network.IP+":8080", harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(harness.Patience))
	fmt.Fprintln(conn, "ping")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "ping\n" {
		t.Errorf("the pod answers %q, %v", line, err)
	}
	conn.Close()
	if c := p.waitState(web, "CONTAINER_EXITED"); c.Status.ExitCode != 0 {
		t.Errorf("the server ended with %d", c.Status.ExitCode)
	}
}

// podFiles are what containers have of their pod: files in /etc, and memory that
// they share.
func podFiles(t *testing.T, node *harness.Node) {
	p := newPod(t, node)
	p.config["dns_config"] = object{"servers": []string{"10.1.2.3"}, "searches": []string{"a.test", "b.test"}, "options": []string{"ndots:3"}}
	p.config["linux"].(object)["sysctls"] = object{"net.core.somaxconn": "77"}
	p.run()
	one := p.start("one", "cat", "/etc/resolv.conf", ",", "cat", "/etc/hostname", ",", "cat", "/etc/hosts", ",",
		"write", "/dev/shm/note", "for two", ",", "sleep", "600000")
	p.expectLog(one, "search a.test b.test\nnameserver 10.1.2.3\noptions ndots:3\nin-the-pod\n")
	p.expectLog(one, "localhost")
	two := p.start("two", "cat", "/dev/shm/note", ",", "echo", "", ",", "sleep", "600000")
	p.expectLog(two, "for two")
	pid := p.inspectContainer(two).Info.Pid
	out, err := exec.Command("nsenter", "-t", strconv.Itoa(pid), "-n", "cat", "/proc/sys/net/core/somaxconn").Output()
	if string(out) != "77\n" {
		t.Errorf("the pod's sysctl is %q, %v", out, err)
	}
}

// hostShm is what a pod in the host's IPC namespace has: the host's.
func hostShm(t *testing.T, node *harness.Node) {
	name := filepath.Join("/dev/shm", filepath.Base(t.TempDir())+"-host")
	if err := os.WriteFile(name, []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(name) })
	p := newPod(t, node).namespaces(object{"ipc": modeNode}).run()
	p.expectLog(p.start("app", "cat", name, ",", "sleep", "600000"), "of the host")
}

// podRefused are settings of a pod that the machine cannot give: nothing is left of it.
func podRefused(t *testing.T, node *harness.Node) {
	sysctl := newPod(t, node)
	sysctl.config["linux"].(object)["sysctls"] = object{"net.core.absent": "1"}
	for says, p := range map[string]*pod{
		"sysctl net.core.absent": sysctl,
		"unknown annotation":     newPod(t, node).annotate("absent", "1"),
	} {
		node.Crictl(t, "runp", "--runtime", harness.Handler, write(t, p.config)).Exits(1).Complains(says)
		node.Crictl(t, "pods", "-q", "--namespace", "default").Is(0, "")
	}
}

// hostNetwork is a pod in the host's network, whose guests get none of it.
func hostNetwork(t *testing.T, node *harness.Node) {
	p := newPod(t, node).namespaces(object{"network": modeNode})
	delete(p.config, "hostname")
	p.run()
	id := p.start("app", "fds", ",", "sleep", "600000")
	pause, app := p.inspect().Info.Pid, p.inspectContainer(id).Info.Pid
	for _, pid := range []int{pause, app} {
		for _, kind := range []string{"net", "uts"} {
			if got, host := namespace(t, pid, kind), namespace(t, 1, kind); got != host {
				t.Errorf("%d is in %s, the host in %s", pid, got, host)
			}
		}
	}
	if namespace(t, app, "ipc") != namespace(t, pause, "ipc") || namespace(t, app, "ipc") == namespace(t, 1, "ipc") {
		t.Error("the container is not in the pod's ipc namespace")
	}
}

// pauseAnswers: the pause process dies by a signal, and the pod with it.
func pauseAnswers(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	comm := status(t, p.inspect().Info.Pid, "Name")
	if comm != "pause" {
		t.Errorf("the pause process is called %q", comm)
	}
	begin := time.Now()
	node.Crictl(t, "stopp", p.ID).Exits(0)
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("stopping an empty pod took %s", took)
	}
}

// userNamespace is a pod with hostUsers: false.
func userNamespace(t *testing.T, node *harness.Node) {
	mapping := []object{{"host_id": 200000, "container_id": 0, "length": 65536}}
	p := newPod(t, node).namespaces(object{"userns_options": object{"mode": modePod, "uids": mapping, "gids": mapping}}).run()
	id := p.start("app", "cat", "/etc/passwd", ",", "write", "/tmp/mine", "x", ",", "sleep", "600000")
	p.expectLog(id, "root:")
	pause, app := p.inspect().Info.Pid, p.inspectContainer(id).Info.Pid
	if a, b := namespace(t, pause, "user"), namespace(t, app, "user"); a != b || a == namespace(t, 1, "user") {
		t.Errorf("user namespaces: pause %s, container %s", a, b)
	}
	for _, pid := range []int{pause, app} {
		if uids := strings.Fields(status(t, pid, "Uid")); uids[0] != "200000" && uids[0] != "265535" {
			t.Errorf("%d runs as %v, want a mapped user", pid, uids)
		}
	}
	node.Crictl(t, "exec", "--sync", id, "/box.wasm", "cat", "/tmp/mine").Prints("x")
}

// errorTexts are what crictl shows of what cannot be run.
func errorTexts(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	for _, test := range []struct {
		name, image, command string
		want                 []string
	}{
		{"absent", harness.Guests, "/absent.wasm", []string{"/absent.wasm", "no such file"}},
		{"text", harness.Guests, "/etc/passwd", []string{"/etc/passwd", "is not a WebAssembly binary"}},
		{"imports", harness.Guests, "/unknown-import.wasm", []string{"/unknown-import.wasm", "env.launch_missiles"}},
	} {
		config := p.container(test.name, test.command)
		config["image"] = object{"image": test.image}
		refused(t, p, config, test.want...)
	}
	// The pod lives on and runs what can be run.
	id := p.start("after", "true")
	p.waitState(id, "CONTAINER_EXITED")
	bad := newPod(t, node).annotate("no-such-key", "x")
	bad.config["metadata"].(object)["uid"] = "bad"
	file := write(t, bad.config)
	node.Crictl(t, "runp", "--runtime", harness.Handler, file).Exits(1).Complains("no-such-key")
}

// memoryLimit: the guest sees its container's limit as a refused memory.grow.
func memoryLimit(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	config := p.container("app", "/box.wasm", "grow", "256")
	config["linux"].(object)["resources"] = object{"memory_limit_in_bytes": 64 << 20}
	id := p.startConfig(config)
	p.waitState(id, "CONTAINER_EXITED")
	p.expectLog(id, "refused at")
}
