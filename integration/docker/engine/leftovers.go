// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
)

// watch, called first by everything that uses the command line, looks once a
// test for what the test leaves behind, after its containers are removed.
func (e *Engine) watch(t testing.TB) {
	t.Helper()
	// A subtest is watched as a part of the whole: they share what they made.
	name, _, _ := strings.Cut(t.Name(), "/")
	e.mu.Lock()
	watched := e.watched[name]
	e.watched[name] = true
	e.mu.Unlock()
	if watched {
		return
	}
	before, logged := harness.Hold(), e.logged()
	t.Cleanup(func() {
		e.mu.Lock()
		delete(e.watched, name)
		e.mu.Unlock()
		if e.cmd == nil {
			return // the test has stopped the engine and looks itself
		}
		e.Remove(t)
		for _, item := range harness.LeftSince(before) {
			if !e.Owns(item) {
				t.Errorf("left behind: %s", item)
			}
		}
		if t.Failed() {
			t.Logf("dockerd's log of this test:\n%s", e.tail(logged))
		}
	})
}

// Remove takes away the containers, networks and volumes of a test.
func (e *Engine) Remove(t testing.TB) {
	t.Helper()
	_ = harness.Execute(t, e.command(t, "sh", "-c",
		`docker ps -aq | xargs -r docker rm -fv; docker network prune -f; docker volume prune -af`))
}

// Owns says whether something belongs to the engine and not to a container.
func (e *Engine) Owns(item string) bool {
	for _, part := range []string{
		"dockerd", "/run/xtables.lock", "docker.sock", filepath.Join(e.state, "exec", "containerd"),
		e.state + "/pid", "buildkit",
		"mount " + "netns default",
		// The host's namespace, kept from its first use, and libnetwork's socket.
		filepath.Join(e.state, "exec", "netns", "default"), filepath.Join(e.state, "exec", "libnetwork"),
	} {
		if strings.Contains(item, part) {
			return true
		}
	}
	return false
}

func (e *Engine) logged() int64 {
	info, err := os.Stat(e.log)
	if err != nil {
		return 0
	}
	return info.Size()
}
