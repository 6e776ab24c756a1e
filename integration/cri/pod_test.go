// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// The modes of a namespace, as CRI numbers them.
const (
	modePod       = 0
	modeContainer = 1
	modeNode      = 2
)

type object = map[string]any

// pod is a pod's sandbox; everything in it goes with the test.
type pod struct {
	t      testing.TB
	node   *harness.Node
	config object
	file   string
	pid    int // the mode of its pid namespace
	ID     string
}

// newPod describes a pod with all namespaces of its own, as a kubelet does.
func newPod(t testing.TB, node *harness.Node) *pod {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ".", "-").Replace(t.Name()))
	return &pod{t: t, node: node, pid: modeContainer, config: object{
		"metadata":      object{"name": name, "namespace": "default", "uid": name, "attempt": 1},
		"hostname":      "in-the-pod",
		"log_directory": t.TempDir(),
		"annotations":   object{},
		"linux": object{
			"cgroup_parent":    "/" + room.Name() + "-pods",
			"security_context": object{"namespace_options": object{"pid": modeContainer}},
		},
	}}
}

// namespaces sets modes of the pod's namespaces.
func (p *pod) namespaces(modes object) *pod {
	options := p.config["linux"].(object)["security_context"].(object)["namespace_options"].(object)
	for key, mode := range modes {
		options[key] = mode
	}
	if mode, is := modes["pid"].(int); is {
		p.pid = mode
	}
	return p
}

func (p *pod) annotate(key, value string) *pod {
	p.config["annotations"].(object)[harness.Runtime+"/"+key] = value
	return p
}

// run starts the sandbox.
func (p *pod) run() *pod {
	p.t.Helper()
	p.file = write(p.t, p.config)
	r := p.node.Crictl(p.t, "runp", "--runtime", harness.Handler, p.file).Exits(0)
	p.ID = strings.TrimSpace(r.Stdout)
	if p.ID == "" {
		p.t.Fatalf("no pod: %s", r.Stderr)
	}
	p.t.Cleanup(p.remove)
	return p
}

func (p *pod) remove() { p.node.Crictl(p.t, "rmp", "--force", p.ID) }

// container describes a container of guests in the pod.
func (p *pod) container(name string, command ...string) object {
	return object{
		"metadata": object{"name": name},
		"image":    object{"image": harness.Guests},
		"command":  command,
		"log_path": name + ".log",
		"linux": object{"security_context": object{
			"namespace_options": p.config["linux"].(object)["security_context"].(object)["namespace_options"],
		}},
	}
}

// create makes a container.
func (p *pod) create(config object) string {
	p.t.Helper()
	r := p.node.Crictl(p.t, "create", p.ID, write(p.t, config), p.file).Exits(0)
	id := strings.TrimSpace(r.Stdout)
	if id == "" {
		p.t.FailNow()
	}
	return id
}

// start makes and starts a container that runs the box.
func (p *pod) start(name string, args ...string) string {
	p.t.Helper()
	return p.startConfig(p.container(name, append([]string{"/box.wasm"}, args...)...))
}

func (p *pod) startConfig(config object) string {
	p.t.Helper()
	id := p.create(config)
	p.node.Crictl(p.t, "start", id).Exits(0)
	return id
}

// waitState waits for a container's state and answers with its inspection.
func (p *pod) waitState(id, state string) (c inspection) {
	p.t.Helper()
	harness.Eventually(p.t, id+" is "+state, func() bool {
		p.node.CrictlJSON(p.t, &c, "inspect", id)
		return c.Status.State == state
	})
	return c
}

// expectLog waits until a container's log has the text in it.
func (p *pod) expectLog(id, text string) {
	p.t.Helper()
	harness.Eventually(p.t, fmt.Sprintf("%q in the log of %s", text, id), func() bool {
		return strings.Contains(p.node.Crictl(p.t, "logs", id).Stdout, text)
	})
}

// inspection is what is read here of crictl's inspect and inspectp.
type inspection struct {
	Status struct {
		State    string `json:"state"`
		ExitCode int    `json:"exitCode"`
		Reason   string `json:"reason"`
		Message  string `json:"message"`
		Network  struct {
			IP string `json:"ip"`
		} `json:"network"`
	} `json:"status"`
	Info struct {
		Pid int `json:"pid"`
	} `json:"info"`
}

func (p *pod) inspect() (c inspection) {
	p.t.Helper()
	p.node.CrictlJSON(p.t, &c, "inspectp", p.ID)
	return c
}

func (p *pod) inspectContainer(id string) (c inspection) {
	p.t.Helper()
	p.node.CrictlJSON(p.t, &c, "inspect", id)
	return c
}

// namespace is the identity of a process's namespace.
func namespace(t testing.TB, pid int, kind string) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// status is a line of a process's status in /proc.
func status(t testing.TB, pid int, key string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if value, is := strings.CutPrefix(line, key+":"); is {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in the status of %d", key, pid)
	return ""
}

// cgroup is the folder of a process's cgroup: of v1 in the hierarchy of that
// controller, or the one of all.
func cgroup(t testing.TB, pid int, controller string) (dir string, unified bool) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if slices.Contains(strings.Split(fields[1], ","), controller) {
			return filepath.Join("/sys/fs/cgroup", controller, fields[2]), false
		}
		if fields[0] == "0" {
			dir = filepath.Join("/sys/fs/cgroup", fields[2])
		}
	}
	return dir, true
}

func parent(t testing.TB, pid int) int {
	t.Helper()
	n, err := strconv.Atoi(status(t, pid, "PPid"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// write makes a file of a configuration.
func write(t testing.TB, config object) string {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
