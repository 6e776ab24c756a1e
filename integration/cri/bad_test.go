// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
)

// badInput: what cannot run says why in its container's status, and the pod
// lives on.
func badInput(t *testing.T, node *harness.Node) {
	img := harness.BadImage(t)
	node.ImportCRI(t, img)
	p := newPod(t, node).run()
	for file, words := range harness.BadModules() {
		t.Run(file, func(t *testing.T) {
			config := p.container(file, "/"+file)
			config["image"] = object{"image": img.Name}
			refused(t, p, config, words...)
		})
	}
	for name, bad := range map[string]struct {
		change func(config, linux object)
		words  []string
	}{
		"cwd is a file": {func(c, _ object) { c["working_dir"] = "/box.wasm" }, []string{"/box.wasm"}},
		"memory limit of nothing": {func(_, l object) {
			l["resources"] = object{"memory_limit_in_bytes": 4096}
		}, []string{"memory"}},
		"unreadable": {func(c, l object) {
			c["image"], c["command"] = object{"image": img.Name}, []string{"/unreadable.wasm"}
			security := l["security_context"].(object)
			security["run_as_user"], security["run_as_group"] = object{"value": 1000}, object{"value": 1000}
		}, []string{"unreadable.wasm", "permission denied"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := p.container(strings.ReplaceAll(name, " ", "-"), "/box.wasm", "true")
			bad.change(config, config["linux"].(object))
			refused(t, p, config, bad.words...)
		})
	}
	p.waitState(p.start("after", "true"), "CONTAINER_EXITED")
}

// refused starts a container and wants the words in what the client says and in
// the status that stays.
func refused(t *testing.T, p *pod, config object, words ...string) {
	t.Helper()
	id := p.create(config)
	p.node.Crictl(t, "start", id).Exits(1).Complains(words...)
	c := p.waitState(id, "CONTAINER_EXITED")
	if c.Status.Reason != "StartError" || c.Status.ExitCode != 128 {
		t.Errorf("%s, exit code %d, want StartError, 128", c.Status.Reason, c.Status.ExitCode)
	}
	for _, word := range words {
		if !strings.Contains(c.Status.Message, word) {
			t.Errorf("the message %q lacks %q", c.Status.Message, word)
		}
	}
}
