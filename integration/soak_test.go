// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// counts are what must be as it was after all containers are gone; what else
// is left behind (processes, mounts, cgroups, sockets) the harness finds.
type counts struct{ descriptors, files int }

func count(t *testing.T, node *harness.Node) counts {
	t.Helper()
	var files int
	err := filepath.WalkDir(node.State(), func(string, fs.DirEntry, error) error {
		files++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts{node.OpenFiles(t), files}
}

// same waits until the counts are what they were.
func (c counts) same(t *testing.T, node *harness.Node) {
	t.Helper()
	harness.Eventually(t, "containerd's descriptors and state files are what they were", func() bool {
		now := count(t, node)
		// Connections of the client's own come and go.
		return now.files <= c.files && now.descriptors <= c.descriptors+1
	})
}

// Many containers at once answer a line each, and leave nothing.
func TestManyContainers(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion)
	node.Guest(t, "box", "true").Run().Exits(0)
	before := count(t, node)
	var tasks []*harness.Task
	for n := rounds(20, 500); len(tasks) < n; {
		var lock sync.Mutex
		var wg sync.WaitGroup
		for range min(8, n-len(tasks)) {
			wg.Go(func() {
				task := node.Guest(t, "box", "answer").Interactive().Start()
				lock.Lock()
				defer lock.Unlock()
				tasks = append(tasks, task)
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	for _, task := range tasks {
		task.Type("hello " + task.ID + "\n")
	}
	for _, task := range tasks {
		task.Expect("got hello " + task.ID + "\n")
	}
	for i, task := range tasks {
		if i%2 == 0 {
			task.CloseStdin()
			task.Wait().Exits(0)
		} else {
			task.Kill(unix.SIGTERM)
			task.Wait().Exits(143)
		}
		task.Delete()
	}
	before.same(t, node)
}

// A life after another leaves nothing either.
func TestManyRounds(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion)
	node.Guest(t, "hello-c").Run().Is(0, "hello from C\n")
	before := count(t, node)
	for range rounds(25, 1000) {
		node.Guest(t, "hello-c").Run().Is(0, "hello from C\n")
		if t.Failed() {
			return
		}
	}
	before.same(t, node)
}
