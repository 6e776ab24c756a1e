// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// figure is what a container has used at a time: seconds of a processor, and
// bytes of memory.
type figure struct {
	at          time.Time
	cpu, memory float64
}

// figures of a Wasm container, as the kubelet tells them, are the kernel's own.
func figures(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("spins", "", box("app", "", "spin")))
	ns.Ready("spins")
	kernel := kernels{t, cgroupOf(t, ns, "spins", "cpuacct"), cgroupOf(t, ns, "spins", "memory")}
	for source, ask := range map[string]func(*cluster.Namespace) (figure, error){"/stats/summary": summary, "/metrics/resource": metrics} {
		var seen []figure
		var last string
		ns.Eventually(source+" tells what the kernel does", func() bool {
			seen = append(seen, kernel.figure())
			told, err := ask(ns)
			seen = append(seen, kernel.figure())
			last = fmt.Sprintf("%+v, %v; the kernel's %+v", told, err, seen[len(seen)-1])
			return err == nil && told.cpu > 3 && told.within(seen)
		}, func() string { return last })
	}
	var last string
	ns.Eventually("kubectl top shows the pod", func() bool {
		last = ns.Kubectl("top", "pod", "spins", "--no-headers").Stdout
		fields := strings.Fields(last)
		return len(fields) == 3 && fields[1] != "0m" && fields[2] != "0Mi"
	}, func() string { return last })
}

// within says whether a figure lies between the kernel's before and after it;
// its time may be a second off, as some stamps are whole seconds. The memory of a
// guest that spins does not change, but for a fifth.
func (f figure) within(seen []figure) bool {
	least, most := seen[0], seen[len(seen)-1]
	for _, s := range seen {
		if s.at.Before(f.at.Add(-time.Second)) {
			least = s
		}
	}
	for _, s := range seen {
		if s.at.After(f.at.Add(2 * time.Second)) {
			most = s
			break
		}
	}
	return least.at.Before(f.at) && least.cpu <= f.cpu && f.cpu <= most.cpu && math.Abs(f.memory-most.memory) < most.memory/5
}

// kernels reads the figure in a container's cgroups.
type kernels struct {
	t           *testing.T
	cpu, memory string
}

func (k kernels) figure() figure {
	k.t.Helper()
	f := figure{at: time.Now()}
	f.cpu = k.read(k.cpu, "cpuacct.usage", `(\d+)`) / 1e9
	f.memory = k.read(k.memory, "memory.usage_in_bytes", `(\d+)`) - k.read(k.memory, "memory.stat", `(?m)^total_inactive_file (\d+)$`)
	return f
}

func (k kernels) read(group, file, pattern string) float64 {
	k.t.Helper()
	text, err := os.ReadFile(filepath.Join(group, file))
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if err != nil || found == nil {
		k.t.Fatalf("%q in %s: %v", pattern, text, err)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		k.t.Fatal(err)
	}
	return value
}

const node = "/api/v1/nodes/" + cluster.NodeName + "/proxy"

// summary is the figure of the pod's container in /stats/summary.
func summary(ns *cluster.Namespace) (figure, error) {
	var all struct {
		Pods []struct {
			PodRef     struct{ Name, Namespace string }
			Containers []struct {
				CPU struct {
					Time                                 time.Time
					UsageNanoCores, UsageCoreNanoSeconds float64
				}
				Memory struct{ WorkingSetBytes float64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(ns.Ask("get", "--raw", node+"/stats/summary")), &all); err != nil {
		return figure{}, err
	}
	for _, p := range all.Pods {
		if p.PodRef.Namespace == ns.Name && len(p.Containers) == 1 && p.Containers[0].CPU.UsageNanoCores > 1e8 {
			c := p.Containers[0]
			return figure{c.CPU.Time, c.CPU.UsageCoreNanoSeconds / 1e9, c.Memory.WorkingSetBytes}, nil
		}
	}
	return figure{}, errors.New("the container is not there as yet")
}

// metrics is the same of /metrics/resource, where each line is a metric, its
// value and its time in milliseconds.
func metrics(ns *cluster.Namespace) (figure, error) {
	text := ns.Ask("get", "--raw", node+"/metrics/resource")
	memory, _, err := metric(ns, text, "container_memory_working_set_bytes")
	if err != nil {
		return figure{}, err
	}
	cpu, at, err := metric(ns, text, "container_cpu_usage_seconds_total")
	return figure{at, cpu, memory}, err
}

func metric(ns *cluster.Namespace, text, name string) (float64, time.Time, error) {
	line := regexp.MustCompile(name + `\{container="app",namespace="` + ns.Name + `",pod="spins"\} (\S+) (\d+)`).FindStringSubmatch(text)
	if line == nil {
		return 0, time.Time{}, errors.New(name + " is not there as yet")
	}
	value, err := strconv.ParseFloat(line[1], 64)
	if err != nil {
		return 0, time.Time{}, err
	}
	ms, err := strconv.ParseInt(line[2], 10, 64)
	return value, time.UnixMilli(ms), err
}
