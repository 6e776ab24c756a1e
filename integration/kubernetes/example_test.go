// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/compose"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// example is the life of examples/kubernetes, as its user lives it.
func example(t *testing.T, ns *cluster.Namespace) {
	importExample(t, ns)
	dir, err := filepath.Abs("testdata/example")
	if err != nil {
		t.Fatal(err)
	}
	persistentVolume(t, ns, "rows", "1Gi")
	persistentVolume(t, ns, "queue", "256Mi")
	accepted := ns.Ask("apply", "-k", dir, "--dry-run=server")
	if want := "horizontalpodautoscaler.autoscaling/api created (server dry run)"; !strings.Contains(accepted, want) {
		t.Errorf("the API server answers %q", accepted)
	}
	ns.Kubectl("apply", "-k", dir).Exits(0)
	for _, object := range []string{"statefulset/postgres", "statefulset/redis", "deployment/api", "deployment/worker"} {
		if ns.Kubectl("rollout", "status", object, "--timeout=55s").Exits(0); t.Failed() {
			t.FailNow()
		}
	}
	s := exampleStack{t, ns, compose.Client{URL: "http://" + ns.Ask("get", "service", "api", "-o", "jsonpath={.spec.clusterIP}")}}
	s.story()
	s.killed()
	s.scaled()
	ns.Until("jsonpath={.status.conditions[?(@.type=='ScalingActive')].status}", "True", "hpa/api")

	ns.Kubectl("delete", "-k", dir, "--timeout=55s").Exits(0)
	ns.Eventually("nothing of it is left", func() bool {
		return ns.Ask("get", "all,configmap,secret,hpa", "-l", "app.kubernetes.io/part-of=tasks", "-o", "name") == ""
	}, func() string { return ns.Kubectl("get", "all").Stdout })
	// Its volumes outlive it, as a StatefulSet's do, until they or the namespace go.
	ns.Kubectl("delete", "pvc", "--all", "--timeout", harness.Patience.String()).Exits(0)
}

// importExample brings the four images to the node.
func importExample(t *testing.T, ns *cluster.Namespace) {
	for _, make := range []func() (image.Image, error){
		compose.PostgresImage, compose.RedisImage,
		func() (image.Image, error) { return compose.WasmImage("api", harness.Built(t, "example", "api.wasm")) },
		func() (image.Image, error) {
			return compose.WasmImage("worker", harness.Built(t, "example", "worker.wasm"))
		},
	} {
		img, err := make()
		if err != nil {
			t.Fatal(err)
		}
		ns.Node.ImportCRI(t, img)
	}
}

// exampleStack is the example while it runs.
type exampleStack struct {
	*testing.T
	ns  *cluster.Namespace
	api compose.Client
}

// create makes a task through the Service.
func (s exampleStack) create(text string) (made compose.Task) {
	s.Helper()
	status, err := s.api.Ask(http.MethodPost, "/tasks", map[string]string{"text": text}, &made)
	if status != http.StatusCreated || err != nil || made.Text != text {
		s.Fatalf("create %q: %d, %v, %+v", text, status, err, made)
	}
	return made
}

// done waits until a worker has done a task.
func (s exampleStack) done(id int64) (got compose.Task) {
	s.Helper()
	s.ns.Eventually(fmt.Sprintf("task %d is done", id), func() bool {
		status, err := s.api.Ask(http.MethodGet, fmt.Sprint("/tasks/", id), nil, &got)
		return status == http.StatusOK && err == nil && got.Done
	}, func() string { return fmt.Sprintf("%+v", got) })
	return got
}

// counted compares what Redis's set holds with what the api says is done.
func (s exampleStack) counted(want int) {
	s.Helper()
	var stats compose.Stats
	status, err := s.api.Ask(http.MethodGet, "/stats", nil, &stats)
	if status != http.StatusOK || err != nil || stats != (compose.Stats{Made: want, Done: want}) {
		s.Errorf("stats: %d, %v, %+v; want %d", status, err, stats, want)
	}
	s.ns.Kubectl("exec", "redis-0", "--", "redis-cli", "scard", "tasks:done").Is(0, fmt.Sprintln(want))
}

// story is create, done by the worker, list, counted in Redis.
func (s exampleStack) story() {
	s.Helper()
	got := s.done(s.create("the quick brown fox").ID)
	worker := s.ns.Ask("get", "pods", "-l", "app=worker", "-o", "jsonpath={.items[*].metadata.name}")
	if got.Words != 4 || got.Worker != worker ||
		got.SHA256 != "9ecb36561341d18eb65484e833efea61edc74b84cf5e6ae1b81c63533e25fc8f" {
		s.Errorf("the worker %s answers %+v", worker, got)
	}
	var all []compose.Task
	if status, err := s.api.Ask(http.MethodGet, "/tasks", nil, &all); status != 200 || err != nil || len(all) != 1 || all[0] != got {
		s.Errorf("list: %d, %v, %+v", status, err, all)
	}
	s.counted(1)
	if status, err := s.api.Ask(http.MethodGet, "/tasks/999", nil, nil); status != http.StatusNotFound || err != nil {
		s.Errorf("a task that is not there: %d, %v", status, err)
	}
	s.ns.Logs("api: serving on", "deployment/api")
	s.ns.Logs("worker: task 1 is done", "deployment/worker")
	s.ns.Kubectl("exec", "deployment/api", "--", "/api.wasm", "health").Exits(0)
}

// killed ends PostgreSQL's pod: what was said yes to is there afterwards, and
// Readiness has told the Service in between.
func (s exampleStack) killed() {
	s.Helper()
	made := s.create("kept in a volume")
	s.ns.Kubectl("delete", "pod", "postgres-0", "--timeout", harness.Patience.String()).Exits(0)
	s.ns.Ready("postgres-0")
	s.ns.Eventually("the api recovers", func() bool {
		status, _ := s.api.Ask(http.MethodGet, "/health", nil, &struct{}{})
		return status == http.StatusOK
	}, func() string { return s.ns.Kubectl("get", "pods").Stdout })
	if got := s.done(made.ID); got.Text != made.Text || got.Words != 4 {
		s.Errorf("after a restart of PostgreSQL: %+v", got)
	}
}

// scaled has three workers share the work; each task is done once.
func (s exampleStack) scaled() {
	s.Helper()
	s.ns.Kubectl("scale", "deployment/worker", "--replicas=3").Exits(0)
	s.ns.Kubectl("rollout", "status", "deployment/worker", "--timeout=55s").Exits(0)
	workers, last := map[string]bool{}, int64(0)
	s.ns.Eventually("all three workers work", func() bool {
		got := s.done(s.create("work for three").ID)
		workers[got.Worker], last = true, got.ID
		return len(workers) == 3
	}, func() string { return fmt.Sprint(workers) })
	s.counted(int(last))
}
