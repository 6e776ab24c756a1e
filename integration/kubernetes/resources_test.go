// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// limits are what the kernel enforces, and what the guest sees of them.
func limits(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("grows", once, box("app", "resources: {limits: {memory: 64Mi}}", "grow", "256")) +
		pod("killed", once+", volumes: [{name: memory, emptyDir: {medium: Memory}}]", box("app",
			"resources: {limits: {memory: 32Mi}}, volumeMounts: [{name: memory, mountPath: /memory}]", "fill", "/memory/x", "100")) +
		pod("guaranteed", "", box("app", "resources: {limits: {memory: 64Mi, cpu: 500m}, requests: {memory: 64Mi, cpu: 500m}}", "sleep", "600000")) +
		pod("burstable", "resources: {limits: {memory: 128Mi, cpu: 1}, requests: {cpu: 100m}}", box("app", "", "sleep", "600000")) +
		pod("inherits", once+", resources: {limits: {memory: 64Mi}}", box("app", "", "grow", "256")) +
		pod("besteffort", "", box("app", "", "sleep", "600000")))
	for _, name := range []string{"grows", "inherits"} {
		ns.Until(phase, "Succeeded", "pod/"+name)
		ns.Logs("refused at", name)
	}
	ns.Until("jsonpath={.status.containerStatuses[0].state.terminated.reason}", "OOMKilled", "pod/killed")
	ns.Until("jsonpath={.status.containerStatuses[0].state.terminated.exitCode}", "137", "pod/killed")
	qualities(t, ns)
	for _, c := range []struct{ pod, up, controller, file, want string }{
		{"guaranteed", ".", "memory", "memory.limit_in_bytes", "67108864"},
		{"guaranteed", ".", "cpu", "cpu.cfs_quota_us", "50000"},
		{"guaranteed", ".", "cpu", "cpu.shares", "512"},
		// The pod's own, and what its container has of it.
		{"burstable", "..", "memory", "memory.limit_in_bytes", "134217728"},
		{"burstable", "..", "cpu", "cpu.cfs_quota_us", "100000"},
		{"burstable", "..", "cpu", "cpu.shares", "102"},
		{"burstable", ".", "memory", "memory.limit_in_bytes", "134217728"},
		{"burstable", ".", "cpu", "cpu.cfs_quota_us", "100000"},
		{"besteffort", ".", "cpu", "cpu.shares", "2"},
	} {
		file := filepath.Join(cgroupOf(t, ns, c.pod, c.controller), c.up, c.file)
		if b, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(b)) != c.want {
			t.Errorf("%s of %s/%s is %s, want %s (%v)", c.file, c.pod, c.up, b, c.want, err)
		}
	}
}

// qualities are the classes of service: by the class the kubelet chooses the
// process's cgroup, and how readily the kernel kills it.
func qualities(t *testing.T, ns *cluster.Namespace) {
	scores := map[string]int{}
	for name, quality := range map[string]struct{ class, group string }{
		"guaranteed": {"Guaranteed", "/kubepods/pod"}, "burstable": {"Burstable", "/kubepods/burstable/pod"},
		"besteffort": {"BestEffort", "/kubepods/besteffort/pod"},
	} {
		ns.Ready(name)
		ns.Until("jsonpath={.status.qosClass}", quality.class, "pod/"+name)
		for _, controller := range []string{"memory", "cpu"} {
			if group := cgroupOf(t, ns, name, controller); !strings.Contains(group, quality.group) {
				t.Errorf("the %s cgroup of %s is %s", controller, name, group)
			}
		}
		score, err := os.ReadFile("/proc/" + ns.Pid(name, "app") + "/oom_score_adj")
		if err != nil {
			t.Fatal(err)
		}
		scores[name], _ = strconv.Atoi(strings.TrimSpace(string(score)))
	}
	// Guaranteed is -997, where root may go below what it was given.
	if scores["besteffort"] != 1000 || scores["burstable"] < 2 || scores["burstable"] > 999 || scores["guaranteed"] > 0 {
		t.Errorf("the scores are %v", scores)
	}
}

// tasks of a pod are limited together, of whatever kind its containers are.
func tasks(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("many", once, box("app", "", "sleep", "600000"), busybox("forks", "",
		fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 600 & i=$((i+1)); done; echo all of them", 2*cluster.PodPids))))
	ns.Until("jsonpath={.status.containerStatuses[?(@.name=='forks')].state.terminated.reason}", "Error", "pod/many")
	ns.Logs("can't fork", "many", "-c", "forks")
	ns.Kubectl("exec", "many", "-c", "app", "--", "/box.wasm", "echo", "alive").Is(0, "alive\n")
	parent := filepath.Dir(cgroupOf(t, ns, "many", "pids"))
	if b, err := os.ReadFile(filepath.Join(parent, "pids.max")); err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(cluster.PodPids) {
		t.Errorf("the pod's limit is %s, %v", b, err)
	}
	if count := cgroupFile(t, ns, "many", "pids", "pids.current"); count == "0" {
		t.Error("the Wasm container's tasks are not counted")
	}
}

// evicted is a pod that fills its volume, and one that has to make room.
func evicted(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("fills", once+", volumes: [{name: data, emptyDir: {sizeLimit: 1Mi}}]",
		box("app", "volumeMounts: [{name: data, mountPath: /data}]", "fill", "/data/big", "4", ",", "sleep", "600000")) +
		pod("moves", once, box("app", "", "sleep", "600000")))
	ns.Ready("moves")
	cmd := ns.Command("create", "--raw", "/api/v1/namespaces/"+ns.Name+"/pods/moves/eviction", "-f", "-")
	cmd.Stdin = strings.NewReader(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "moves"}}`)
	harness.Execute(t, cmd).Exits(0)
	ns.Kubectl("wait", "--for=delete", "pod/moves", "--timeout", harness.Patience.String()).Exits(0)
	ns.Until("jsonpath={.status.reason}", "Evicted", "pod/fills")
	ns.Until("jsonpath={.status.containerStatuses[0].state.terminated.exitCode}", "143", "pod/fills")
}

// cgroupOf is the folder of a pod's container in a hierarchy of cgroup v1.
func cgroupOf(t testing.TB, ns *cluster.Namespace, pod, controller string) string {
	t.Helper()
	groups, err := os.ReadFile("/proc/" + ns.Pid(pod, "app") + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(groups), "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) == 3 && strings.Contains(","+fields[1]+",", ","+controller+",") {
			return filepath.Join("/sys/fs/cgroup", controller, fields[2])
		}
	}
	t.Fatalf("no cgroup of %s in %s", controller, groups)
	return ""
}

func cgroupFile(t testing.TB, ns *cluster.Namespace, pod, controller, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(cgroupOf(t, ns, pod, controller), file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// resize changes the limits of a container that runs, up and down.
func resize(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("app", "", box("app", `resources: {limits: {memory: 64Mi, cpu: 500m}, requests: {memory: 64Mi, cpu: 500m}},
    resizePolicy: [{resourceName: memory, restartPolicy: NotRequired}, {resourceName: cpu, restartPolicy: NotRequired}]`,
		"sleep", "600000")))
	ns.Ready("app")
	for _, step := range []struct{ memory, cpu, bytes, quota string }{
		{"128Mi", "800m", "134217728", "80000"}, {"96Mi", "300m", "100663296", "30000"},
	} {
		ns.Kubectl("patch", "pod", "app", "--subresource", "resize", "-p",
			`{"spec":{"containers":[{"name":"app","resources":{"requests":{"memory":"`+step.memory+`","cpu":"`+step.cpu+
				`"},"limits":{"memory":"`+step.memory+`","cpu":"`+step.cpu+`"}}}]}}`).Exits(0)
		var memory, quota string
		ns.Eventually("the limits are the new ones", func() bool {
			memory = cgroupFile(t, ns, "app", "memory", "memory.limit_in_bytes")
			quota = cgroupFile(t, ns, "app", "cpu", "cpu.cfs_quota_us")
			return memory == step.bytes && quota == step.quota
		}, func() string { return memory + " " + quota })
		ns.Until("jsonpath={.status.containerStatuses[0].resources.limits.memory}", step.memory, "pod/app")
	}
	ns.Until(restarts("app"), "0", "pod/app")
}
