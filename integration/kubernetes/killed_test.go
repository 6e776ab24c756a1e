// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

var seed = flag.Uint64("seed", 0, `what "killed" kills and when; random unless given`)

// killed has the cluster's servers and shims killed at random points while pods
// start, run and stop. Then all is as it was declared, what is said of it is
// true, and nothing is left.
func killed(t *testing.T, ns *cluster.Namespace) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("again by: -args -seed %d", *seed)
	k := &killer{T: t, ns: ns, rand: rand.New(rand.NewPCG(*seed, 0)), lost: map[string]bool{}}
	ns.Apply(webDeployment(2, "one"))
	for range count(3, 30) {
		k.round()
	}
	k.settled()
	if t.Failed() {
		t.FailNow()
	}
	k.truthful()
	ns.Kubectl("delete", "deployments,jobs,pods", "--all", "--wait=false").Exits(0)
	ns.Eventually("all pods are gone", func() bool { return ns.Ask("get", "pods", "-o", "name") == "" }, func() string {
		return ns.Kubectl("get", "pods").Stdout
	})
	ns.RemoveEnded()
	k.orphans()
}

// killer is a test that kills.
type killer struct {
	*testing.T
	ns   *cluster.Namespace
	rand *rand.Rand

	rounds  int
	victims []string        // whose turn is to come
	lost    map[string]bool // pods whose shim was killed
	away    [][2]time.Time  // when containerd was not there
}

// round hands work in, kills what has its turn somewhere in the midst of that,
// and starts it again.
func (k *killer) round() {
	k.Helper()
	k.churn()
	if len(k.victims) == 0 {
		k.victims = []string{"kubelet", "containerd", "kube-apiserver", "shim"}
		k.rand.Shuffle(len(k.victims), func(i, j int) { k.victims[i], k.victims[j] = k.victims[j], k.victims[i] })
	}
	victim := k.victims[0]
	k.victims = k.victims[1:]
	before, away := k.upTo(2*time.Second), k.upTo(2*time.Second)
	time.Sleep(before)
	switch victim {
	case "shim":
		victim += " of " + k.killShim()
	case "containerd":
		begin := time.Now()
		k.ns.Node.Crash()
		time.Sleep(away)
		k.ns.Node.Start(k.T)
		k.away = append(k.away, [2]time.Time{begin, time.Now()})
	default:
		k.ns.Crash(victim)
		time.Sleep(away)
		k.ns.Restart(k.T, victim)
	}
	k.Logf("round %d: %s killed after %s, away for %s", k.rounds, victim, before, away)
	harness.Eventually(k.T, "the API server answers", func() bool { return k.ns.Kubectl("get", "--raw", "/readyz").Status == 0 })
}

func (k *killer) upTo(most time.Duration) time.Duration {
	return time.Duration(k.rand.Int64N(int64(most)))
}

// churn has pods start, run and stop: a Job, a pod that ends by itself, one that
// stays, mixed now and then, and the end of the one that stayed before.
func (k *killer) churn() {
	k.Helper()
	k.rounds++
	ms := func() string { return fmt.Sprint(k.rand.IntN(2000)) }
	stays := []string{box("app", "", "sleep", "600000")}
	if k.rounds%3 == 0 {
		stays = append(stays, busybox("beside", "", "exec sleep 600000"))
	}
	k.ns.Apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: job-%d}
spec:
  completions: 3
  parallelism: 2
  backoffLimit: 100
  template: {spec: {%s, restartPolicy: OnFailure, containers: [%s]}}
`, k.rounds, wasm, box("app", "", "sleep", ms(), ",", "echo", "end")) +
		pod(fmt.Sprintf("once-%d", k.rounds), once, box("app", "", "sleep", ms(), ",", "echo", "end")) +
		pod(fmt.Sprintf("stays-%d", k.rounds), "", stays...))
	if k.rounds > 1 {
		k.ns.Kubectl("delete", "pod", fmt.Sprintf("stays-%d", k.rounds-1), "--wait=false").Exits(0)
	}
}

// killShim kills one and answers whose it was.
func (k *killer) killShim() string {
	k.Helper()
	var shim harness.ShimProcess
	var sandbox struct{ Labels map[string]string }
	harness.Eventually(k.T, "a shim runs", func() bool {
		all := harness.ShimProcesses()
		if len(all) == 0 {
			return false
		}
		shim = all[k.rand.IntN(len(all))]
		// CRI does not know a pod yet that is being made.
		r := k.ns.Node.Ctr(k.T, "containers", "info", shim.ID)
		return r.Status == 0 && json.Unmarshal([]byte(r.Stdout), &sandbox) == nil
	})
	name := sandbox.Labels["io.kubernetes.pod.name"]
	k.lost[name] = true
	if err := unix.Kill(shim.Pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
		k.Fatal(err)
	}
	return name
}

// dropped says that a pod's container was never started, since who asked for that
// was killed: containerd, with any runtime, then gives it up.
func (k *killer) dropped(pod string) bool {
	k.Helper()
	const ended = "jsonpath={.status.containerStatuses[0].state.terminated"
	return k.ns.Ask("get", "pod", pod, "-o", ended+".reason}") == "StartError" &&
		strings.HasSuffix(k.ns.Ask("get", "pod", pod, "-o", ended+".message}"), context.Canceled.Error())
}

// settled waits until all is as it was declared.
func (k *killer) settled() {
	k.Helper()
	// A container that was killed several times is made anew after minutes only.
	if !harness.Soon(6*time.Minute, func() bool {
		return k.ns.Kubectl("rollout", "status", "deployment/web", "--timeout=20s").Status == 0
	}) {
		k.Fatal("the Deployment is not what it was declared")
	}
	for i := range k.rounds {
		k.ns.Until("jsonpath={.status.succeeded}", "3", fmt.Sprintf("job/job-%d", i+1))
		name := fmt.Sprintf("once-%d", i+1)
		k.ns.Eventually(name+" has ended", func() bool {
			is := k.ns.Ask("get", "pod", name, "-o", phase)
			return is == "Succeeded" || is == "Failed" && (k.lost[name] || k.dropped(name))
		}, func() string { return k.ns.Kubectl("describe", "pod", name).Stdout })
	}
	last := fmt.Sprintf("stays-%d", k.rounds)
	k.ns.Ready(last)
	k.ns.Eventually("the pods that were to end have", func() bool {
		return k.ns.Ask("get", "pods", "-l", "app notin (web, "+last+")", "--field-selector", "status.phase=Running", "-o", "name") == ""
	}, func() string { return k.ns.Kubectl("get", "pods").Stdout })
}
