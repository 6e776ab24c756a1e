// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package cri

import (
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// restart: a pod outlives its containerd.
func restart(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	id := p.start("app", "sleep", "600000")
	before := p.inspectContainer(id).Info.Pid
	node.Crash()
	node.Start(t)
	harness.Eventually(t, "CRI answers", func() bool { return node.Crictl(t, "version").Status == 0 })
	if c := p.waitState(id, "CONTAINER_RUNNING"); c.Info.Pid != before {
		t.Errorf("the container is process %d, was %d", c.Info.Pid, before)
	}
	if c := p.inspect(); c.Status.State != "SANDBOX_READY" {
		t.Errorf("the pod is %s", c.Status.State)
	}
	node.Crictl(t, "exec", "--sync", id, "/box.wasm", "echo", "alive").Exits(0).Prints("alive\n")
	again := p.start("again", "true")
	p.waitState(again, "CONTAINER_EXITED")
}

// shimKilled: a pod whose shim dies ends as a whole and can be removed.
func shimKilled(t *testing.T, node *harness.Node) {
	p := newPod(t, node).run()
	one, two := p.start("one", "sleep", "600000"), p.start("two", "spin")
	if err := unix.Kill(parent(t, p.inspect().Info.Pid), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.waitState(one, "CONTAINER_EXITED")
	p.waitState(two, "CONTAINER_EXITED")
	harness.Eventually(t, "the pod is not ready", func() bool {
		return p.inspect().Status.State == "SANDBOX_NOTREADY"
	})
	node.Crictl(t, "stopp", p.ID).Exits(0)
	node.Crictl(t, "rmp", p.ID).Exits(0)
}
