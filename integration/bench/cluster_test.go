// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// podKinds are kinds of idle pod, runc's first: more of the spec, the image and
// the command of a container.
var podKinds = [2]struct{ class, image, command string }{
	{"", harness.Busybox, "/bin/sleep, '1000000'"},
	{"runtimeClassName: wazero, ", harness.Guests, "/box.wasm, sleep, '1000000000'"},
}

// pods are measured on a cluster of one node.
type pods struct {
	*testing.T
	client *cluster.Client
	ns     *cluster.Namespace
	events <-chan cluster.PodEvent
}

// onCluster is what a user of Kubernetes feels.
func onCluster(t *testing.T, _ *harness.Node, figures *table) {
	c := cluster.New(t)
	c.Node.ImportCRI(t, cluster.PauseImage(t), harness.GuestsImage(t), harness.BusyboxImage(t))
	ns := c.Namespace(t)
	client := c.Client(t)
	p := pods{t, client, ns, client.WatchPods(ns.Name)}
	figures.with = "Kubernetes " + serverVersion(t, c)
	p.starts(figures)
	p.five(figures)
	p.hundred(figures)
}

// serverVersion is the API server's, as in "1.37.0".
func serverVersion(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	answer := c.Kubectl(t, "get", "--raw", "/version").Exits(0).Stdout
	var v struct{ GitVersion string }
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(v.GitVersion, "v")
}

// create makes pods of a kind and answers how long it took until all were ready.
func (p pods) create(kind, containers, count int) time.Duration {
	p.Helper()
	begin := time.Now()
	for i := range count {
		k := podKinds[kind]
		var list []string
		for n := range containers {
			list = append(list, fmt.Sprintf("{name: c%d, image: %q, imagePullPolicy: Never, command: [%s]}", n, k.image, k.command))
		}
		p.client.Do(http.MethodPost, "/api/v1/namespaces/"+p.ns.Name+"/pods", fmt.Sprintf(
			"{apiVersion: v1, kind: Pod, metadata: {name: pod-%d}, spec: {%sterminationGracePeriodSeconds: 0, containers: [%s]}}",
			i, k.class, strings.Join(list, ", "))).Close()
	}
	return p.until(count, func(e cluster.PodEvent) bool { return e.Ready && !e.Delete }).Sub(begin)
}

// remove deletes the pods and waits until they are gone.
func (p pods) remove(count int) {
	p.Helper()
	p.client.Do(http.MethodDelete, "/api/v1/namespaces/"+p.ns.Name+"/pods", "").Close()
	p.until(count, func(e cluster.PodEvent) bool { return e.Delete })
	if !harness.Soon(2*time.Minute, func() bool { return p.held() == podHolding{} }) {
		p.Fatal("the node is not rid of the pods")
	}
}

// until waits for an event of so many pods and answers when the last one came.
func (p pods) until(count int, is func(cluster.PodEvent) bool) time.Time {
	p.Helper()
	patience := time.After(10 * time.Minute)
	for seen := map[string]bool{}; ; {
		select {
		case e, ok := <-p.events:
			if !ok {
				p.Fatal("the watch has ended")
			}
			if is(e) {
				seen[e.Name] = true
			}
			if len(seen) == count {
				return e.At
			}
		case <-patience:
			p.Fatalf("%d of %d pods are as wanted:\n%s", len(seen), count, p.ns.Kubectl("get", "pods").Stdout)
		}
	}
}

// starts is one pod from its creation until it is ready, in turns.
func (p pods) starts(figures *table) {
	p.Helper()
	var times [2][]time.Duration
	for round := -1; round < *rounds; round++ {
		for kind := range podKinds {
			took := p.create(kind, 1, 1)
			p.remove(1)
			if round >= 0 {
				times[kind] = append(times[kind], took)
			}
		}
	}
	for _, percent := range []int{50, 95} {
		name := fmt.Sprintf("p%d", percent)
		if percent == 95 && *rounds < 20 {
			name = fmt.Sprintf("the slowest of %d", *rounds)
		}
		figures.beside("A pod from its creation until it is Ready, "+name,
			quantile(times[1], percent), quantile(times[0], percent), "")
	}
}

func quantile(times []time.Duration, percent int) time.Duration {
	slices.Sort(times)
	return times[min(len(times)-1, len(times)*percent/100)]
}

// five is one pod of five containers, which share one shim.
func (p pods) five(figures *table) {
	p.Helper()
	var times [2][]time.Duration
	var memory [2][]float64
	for range max(3, *rounds/5) {
		for kind := range podKinds {
			times[kind] = append(times[kind], p.create(kind, 5, 1))
			memory[kind] = append(memory[kind], p.held().sum())
			p.remove(1)
		}
	}
	figures.beside("A pod of five containers, until it is Ready", median(times[1]), median(times[0]), "")
	wasm, runc := median(memory[1]), median(memory[0])
	figures.add("Its memory: shim, pause and five processes", megabytes(wasm), megabytes(runc), fmt.Sprintf("%.2f", wasm/runc), "")
}

// rest is how long the node is left alone after a hundred pods have started.
const rest = 30 * time.Second

// hundred is a hundred pods at once, in turns, and what they take while they do
// nothing.
func (p pods) hundred(figures *table) {
	p.Helper()
	const count = 100
	var took [2][]time.Duration
	var held [2][]podHolding
	var busy [2][]float64
	for range *hundreds {
		for kind := range podKinds {
			took[kind] = append(took[kind], p.create(kind, 1, count))
			time.Sleep(rest)
			held[kind] = append(held[kind], p.held())
			busy[kind] = append(busy[kind], p.busy())
			p.remove(count)
		}
	}
	once := ""
	if *hundreds == 1 {
		once = " (one round of each, runc's first)"
	}
	figures.beside("100 pods, until all are Ready"+once, median(took[1]), median(took[0]), "")
	wasm, runc := middle(held[1]), middle(held[0])
	figures.add(fmt.Sprintf("Memory of one of 100 idle pods: shim %s, pause %s, the container's process %s",
		megabytes(wasm.shim/count), megabytes(wasm.pause/count), megabytes(wasm.rest/count)),
		megabytes(wasm.sum()/count), megabytes(runc.sum()/count), fmt.Sprintf("%.2f", wasm.sum()/runc.sum()), "")
	const stated, statedBusy = 24 << 10, 0.010 // kB and processors, of deploy/base/runtimeclass.yaml
	overhead := (wasm.shim + wasm.pause) / count
	figures.row("Overhead of one of 100 pods (shim and pause), beside the 24Mi of the RuntimeClass", megabytes(overhead),
		fmt.Sprintf("%.2f", overhead/stated), "under 1")
	fmt.Printf("overhead of a pod: %s, stated 24Mi\n", megabytes(overhead))
	ours, theirs := median(busy[1]), median(busy[0])
	figures.add("Processor while 100 pods idle: shims and the pods' processes", permille(ours), permille(theirs),
		fmt.Sprintf("%.2f", ours/theirs), "")
	figures.row("Processor of one of them, beside the 10m of the RuntimeClass", permille(ours/count),
		fmt.Sprintf("%.2f", ours/count/statedBusy), "under 1")
}

// permille is a share of one processor.
func permille(share float64) string { return fmt.Sprintf("%.1f ‰", 1000*share) }

// podHolding is the proportional set size of the pods on the node, in kB.
type podHolding struct{ shim, pause, rest float64 }

func (h podHolding) sum() float64 { return h.shim + h.pause + h.rest }

// middle is the one whose sum is the median.
func middle(all []podHolding) podHolding {
	slices.SortFunc(all, func(a, b podHolding) int { return cmp.Compare(a.sum(), b.sum()) })
	return all[len(all)/2]
}

func (p pods) held() (h podHolding) {
	p.Helper()
	harness.EachPss(p.T, func(pid int, program string, kB float64) {
		switch {
		case strings.Contains(program, "containerd-shim-"):
			h.shim += kB
		case !ofPod(pid):
		case program == "/pause":
			h.pause += kB
		default:
			h.rest += kB
		}
	})
	return h
}

// ofPod says that a process is in the cgroup of a pod.
func ofPod(pid int) bool {
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return strings.Contains(string(groups), "/kubepods/")
}

// busy is what share of a processor the pods and their shims take, over a while
// in which the kubelet asks each for its figures some times.
func (p pods) busy() float64 { return p.share(time.Minute) }

func (p pods) share(of time.Duration) float64 {
	p.Helper()
	before := p.ticks()
	begin := time.Now()
	time.Sleep(of)
	const tick = 10 * time.Millisecond
	return float64(p.ticks()-before) * float64(tick) / float64(time.Since(begin))
}

// ticks is the processor time of the pods and their shims so far.
func (p pods) ticks() (sum int) {
	p.Helper()
	harness.EachPss(p.T, func(pid int, program string, _ float64) {
		if !strings.Contains(program, "containerd-shim-") && !ofPod(pid) {
			return
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // from the third one on: state, parent …
		var user, system int
		if len(fields) > 12 {
			_, _ = fmt.Sscan(fields[11], &user)
			_, _ = fmt.Sscan(fields[12], &system)
		}
		sum += user + system
	})
	return sum
}
