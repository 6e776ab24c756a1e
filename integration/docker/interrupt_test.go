// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestInterruptedLife ends dockerd and containerd, by SIGTERM or SIGKILL, at
// random points of a container's life, from before its making to its removal,
// and starts them again: whatever the guest began it ends, with its status, and
// the container can be removed. (On runc the status of one that ends meanwhile
// is lost, hence no comparison.)
func TestInterruptedLife(t *testing.T) {
	const ticks = 20
	points := 3
	if harness.Full() {
		points = 20
	}
	e := engine.New(t, engine.WithConfig("live-restore", true))
	e.LoadAll(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range points {
		away := absences[random.IntN(len(absences))]
		// A life is some 800 ms: the guest's half a second, its making and removal.
		delay := time.Duration(random.Int64N(int64(800 * time.Millisecond)))
		t.Run(fmt.Sprintf("%v after %v", away, delay.Round(time.Millisecond)), func(t *testing.T) {
			name, status := "life", strconv.Itoa(10+i)
			args := slices.Concat([]string{"run", "-d", "--name", name}, runtimes["wasm"], []string{"tick", "25", strconv.Itoa(ticks), ",", "exit", status})
			line := "docker " + strings.Join(args, " ") + " && docker wait " + name + " && docker rm " + name
			life := e.ShellCommand(t, "/", "timeout 60 sh -c '"+line+"'")
			if err := life.Start(); err != nil {
				t.Fatal(err)
			}
			from := len(e.Node.Log(t))
			time.Sleep(delay)
			away.begin(e)
			// dockerd deletes an ended task before it saves the status: between
			// the two it is dockerd that loses it.
			deleted := strings.Contains(e.Node.Log(t)[from:], "shim disconnected")
			away.end(t, e)
			_ = life.Wait() // its client has lost dockerd, or not

			is := e.Docker(t, "inspect", "-f", "{{.State.Status}}", name)
			if is.Status != 0 {
				return // not made yet, or removed already
			}
			defer func() { e.Docker(t, "rm", "-f", name).Exits(0) }()
			if is.Stdout == "dead\n" || is.Stdout == "removing\n" {
				return
			}
			began := e.Ask(t, "logs", name) != "" || is.Stdout == "running\n"
			switch got, whole := e.Ask(t, "wait", name), counted(t, e, name, 1) == ticks; {
			case !began, got == status:
			case got == "255" && deleted:
			case (got == "137" || got == "143") && !whole: // dockerd had not noted its start, and ended it
			default:
				t.Errorf("status %s, want %s", got, status)
			}
		})
	}
}
