// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// memory is what an idle container holds: the proportional set size of its
// shim and its process together, with many of the kind on the node.
func memory(t *testing.T, node *harness.Node, figures *table) {
	kinds := []struct {
		name, goal string
		start      func() *harness.Task
	}{
		{"C, 48 kB", "5 MB, under 8", func() *harness.Task { return node.Guest(t, "box", "sleep", "100000000").Start() }},
		{"Go, 3 MB", "12 MB, under 20", func() *harness.Task { return node.Guest(t, "idle-go").Start() }},
	}
	sleep := func() *harness.Task { return node.Linux(t, "sleep", "100000").Start() }
	runc := held(t, node, *idle/4, sleep)
	for _, kind := range kinds {
		one := held(t, node, *idle, kind.start)
		figures.add(fmt.Sprintf("Memory of an idle container, %d at once (%s): shim %s, sandbox %s",
			*idle, kind.name, megabytes(one.shim), megabytes(one.rest)),
			megabytes(one.shim+one.rest), megabytes(runc.shim+runc.rest),
			strconv.FormatFloat((one.shim+one.rest)/(runc.shim+runc.rest), 'f', 2, 64), kind.goal)
	}
}

// holding is the proportional set size of shims and of all other processes,
// in kB.
type holding struct{ shim, rest float64 }

func held(t *testing.T, node *harness.Node, count int, start func() *harness.Task) holding {
	tasks := make(chan *harness.Task, count)
	perSecond(count, 2, func() { tasks <- start() })
	close(tasks)
	sum := pss(t, node)
	if len(tasks) != count {
		t.Fatalf("%d containers run, want %d", len(tasks), count)
	}
	var ended []*harness.Task
	for task := range tasks {
		task.Kill(unix.SIGKILL)
		ended = append(ended, task)
	}
	for _, task := range ended {
		task.Wait()
		task.Delete()
	}
	return holding{sum.shim / float64(count), sum.rest / float64(count)}
}

// pss sums over the room's processes but its init, the tests and containerd.
func pss(t *testing.T, node *harness.Node) (sum holding) {
	t.Helper()
	harness.EachPss(t, func(pid int, program string, kB float64) {
		switch {
		case pid == 1 || pid == os.Getpid() || pid == node.Pid():
		case strings.Contains(program, "containerd-shim-"):
			sum.shim += kB
		default:
			sum.rest += kB
		}
	})
	return sum
}

func megabytes(kB float64) string { return fmt.Sprintf("%.1f MB", kB*1024/1e6) }
