// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgroup2

package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

type object = map[string]any

// The kinds of profile and the modes of namespaces, as CRI numbers them.
const (
	runtimeDefault, unconfined, localhost = 0, 1, 2
	ofContainer, ofNode                   = 1, 2
)

// TestPodConfined has CRI make containers under the AppArmor profiles that an
// appArmorProfile names.
func TestPodConfined(t *testing.T) {
	const profile = "wazero-pod"
	node := harness.New(t, harness.DefaultVersion, harness.WithCRI())
	node.ImportCRI(t, harness.PauseImage(), harness.GuestsImage(t))
	p := newPod(t, node)
	create := p.create("absent", object{"profile_type": localhost, "localhost_ref": profile}, "wait")
	create.Exits(1).Complains(profile) // is not loaded yet
	load(t, profile)

	for name, c := range map[string]struct {
		asked object
		label string
	}{
		"default":    {object{"profile_type": runtimeDefault}, "cri-containerd.apparmor.d"},
		"localhost":  {object{"profile_type": localhost, "localhost_ref": profile}, profile},
		"unconfined": {object{"profile_type": unconfined}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.TrimSpace(p.create(name, c.asked, "sleep", "600000").Exits(0).Stdout)
			defer node.Crictl(t, "rm", "--force", id)
			node.Crictl(t, "start", id).Exits(0)
			pid := p.pid(id)
			if c.label != "" {
				confined(t, pid, c.label)
			} else if got, err := os.ReadFile(fmt.Sprintf("/proc/%d/attr/current", pid)); err != nil || strings.TrimSpace(string(got)) != "unconfined" {
				t.Errorf("the container is %q, %v", got, err)
			}
			read := node.Crictl(t, "exec", "--sync", id, "/box.wasm", "cat", "/etc/there")
			if c.label == profile { // which denies this file
				read.Exits(1).Complains("/etc/there")
			} else {
				read.Exits(0).Prints("an absolute path\n")
			}
		})
	}
}

// load loads the profile of testdata under a name.
func load(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile("testdata/confined.apparmor")
	if err != nil {
		t.Fatal(err)
	}
	parser := exec.Command("apparmor_parser", "--replace", "--skip-cache")
	parser.Stdin = strings.NewReader(strings.ReplaceAll(string(text), "wazero-confined", name))
	if out, err := parser.CombinedOutput(); err != nil {
		t.Fatalf("load the profile: %v: %s", err, out)
	}
}

// pod is one in the host's network: the machine has no other.
type pod struct {
	t        *testing.T
	node     *harness.Node
	file, id string
}

func newPod(t *testing.T, node *harness.Node) *pod {
	t.Helper()
	p := &pod{t: t, node: node}
	p.file = p.write(object{
		"metadata": object{"name": "confined", "namespace": "default", "uid": "confined", "attempt": 1},
		"linux": object{
			"cgroup_parent":    "/" + room.Name() + "-pods",
			"security_context": object{"namespace_options": namespaces},
		},
	})
	p.id = strings.TrimSpace(node.Crictl(t, "runp", "--runtime", harness.Handler, p.file).Exits(0).Stdout)
	t.Cleanup(func() { node.Crictl(t, "rmp", "--force", p.id) })
	return p
}

var namespaces = object{"network": ofNode, "pid": ofContainer}

// create makes a container of the box under a profile.
func (p *pod) create(name string, profile object, command ...string) *harness.Result {
	p.t.Helper()
	return p.node.Crictl(p.t, "create", p.id, p.write(object{
		"metadata": object{"name": name},
		"image":    object{"image": harness.Guests},
		"command":  append([]string{"/box.wasm"}, command...),
		"linux":    object{"security_context": object{"namespace_options": namespaces, "apparmor": profile}},
	}), p.file)
}

func (p *pod) pid(id string) int {
	p.t.Helper()
	var answer struct{ Info struct{ Pid int } }
	p.node.CrictlJSON(p.t, &answer, "inspect", id)
	return answer.Info.Pid
}

// write makes a file of a configuration.
func (p *pod) write(config object) string {
	p.t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.t.TempDir(), "config.json")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		p.t.Fatal(err)
	}
	return file
}
