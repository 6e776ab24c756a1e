// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"containerd-shim-wazero/integration/harness"
)

// podStatus is what the API server says of a pod.
type podStatus struct {
	Metadata struct{ Name string }
	Status   struct {
		Phase             string
		ContainerStatuses []containerStatus
	}
}

type containerStatus struct {
	Name, ContainerID string
	State             struct {
		Running    *struct{}
		Terminated *struct {
			ExitCode   int
			FinishedAt time.Time
		}
	}
}

// truthful compares what the API server says with the node: what runs is what is
// said to run, and what is said to have ended well has come to its end.
func (k *killer) truthful() {
	k.Helper()
	var said, real, shims map[string]bool
	k.ns.Eventually("what runs is what is said to run", func() bool {
		said, real, shims = k.said(), k.real(), k.shims()
		return maps.Equal(said, real) && maps.Equal(shims, k.sandboxes())
	}, func() string {
		b, _ := json.Marshal([]any{said, real, shims, k.sandboxes()})
		return string(b)
	})
	for id := range said {
		var answer struct{ Info struct{ Pid int } }
		k.ns.Node.CrictlJSON(k.T, &answer, "inspect", id)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", answer.Info.Pid)); err != nil || answer.Info.Pid == 0 {
			k.Errorf("container %s is said to run: %v", id, err)
		}
	}
	ended := 0
	for _, p := range k.pods() {
		if p.Status.Phase != "Succeeded" {
			continue
		}
		ended++
		c := p.Status.ContainerStatuses[0].State.Terminated
		if c == nil || c.ExitCode != 0 {
			k.Fatalf("%s is said to have ended well: %+v", p.Metadata.Name, p.Status)
		}
		if log := k.ns.Ask("logs", p.Metadata.Name); log != "end" && !k.unread(c.FinishedAt) {
			k.Errorf("%s is said to have ended well at %s, and its log is %q", p.Metadata.Name, c.FinishedAt, log)
		}
	}
	if ended < 3*k.rounds {
		k.Errorf("%d pods ended well, of %d rounds with a Job of three", ended, k.rounds)
	}
}

// unread says that containerd, which writes the logs, was away when a container
// ended: what that one wrote last nobody has read then.
func (k *killer) unread(end time.Time) bool {
	for _, away := range k.away {
		if end.After(away[0].Add(-time.Second)) && end.Before(away[1]) { // the end is of whole seconds
			return true
		}
	}
	return false
}

func (k *killer) pods() []podStatus {
	k.Helper()
	var list struct{ Items []podStatus }
	if err := json.Unmarshal([]byte(k.ns.Ask("get", "pods", "-o", "json")), &list); err != nil {
		k.Fatal(err)
	}
	return list.Items
}

// said is the containers that run, by the API server.
func (k *killer) said() map[string]bool {
	ids := map[string]bool{}
	for _, p := range k.pods() {
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Running != nil {
				ids[strings.TrimPrefix(c.ContainerID, "containerd://")] = true
			}
		}
	}
	return ids
}

// real is the same by the node.
func (k *killer) real() map[string]bool { return k.ids("ps", "-q", "--no-trunc", "--state", "Running") }

// sandboxes is the pods that are ready, by the node.
func (k *killer) sandboxes() map[string]bool {
	return k.ids("pods", "-q", "--no-trunc", "--state", "Ready")
}

func (k *killer) ids(args ...string) map[string]bool {
	k.Helper()
	ids := map[string]bool{}
	for _, id := range strings.Fields(k.ns.Node.Crictl(k.T, args...).Exits(0).Stdout) {
		ids[id] = true
	}
	return ids
}

// shims is the pods that have a shim.
func (k *killer) shims() map[string]bool {
	ids := map[string]bool{}
	for _, shim := range harness.ShimProcesses() {
		ids[shim.ID] = true
	}
	return ids
}
