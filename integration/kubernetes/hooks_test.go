// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// hooks after the start and before the end, of every kind.
func hooks(t *testing.T, ns *cluster.Namespace) {
	dir := t.TempDir()
	manifest := pod("hooks", "volumes: [{name: data, hostPath: {path: \""+dir+"\"}}], initContainers: ["+
		container("web", web, `restartPolicy: Always, startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 60},
    lifecycle: {
      postStart: {exec: {command: [/box.wasm, write, /work/started, x]}},
      preStop: {httpGet: {path: "/hook?of=stop", port: 8080}}}`)+"]",
		box("asks", `lifecycle: {
      postStart: {httpGet: {path: "/hook?of=start", port: 8080}},
      preStop: {exec: {command: [/box.wasm, write, /data/stopped, x]}}},
    volumeMounts: [{name: data, mountPath: /data}]`, "sleep", "600000"),
		box("waits", "lifecycle: {postStart: {sleep: {seconds: 3}}, preStop: {sleep: {seconds: 3}}}", "sleep", "600000"),
		box("last", "", "sleep", "600000"))
	// What it leaves in the API shows when its containers have ended.
	ns.Apply(strings.Replace(manifest, "metadata: {", "metadata: {finalizers: [test/kept], ", 1))
	forget := func() *harness.Result {
		return ns.Kubectl("patch", "pod", "hooks", "--type", "merge", "-p", `{"metadata":{"finalizers":null}}`)
	}
	t.Cleanup(func() { forget() })
	ns.Ready("hooks")
	ns.Kubectl("exec", "hooks", "-c", "web", "--", "/box.wasm", "cat", "/work/started").Is(0, "x")
	ns.Logs("web: hook start", "hooks", "-c", "web")
	if waits, last := at(t, ns, "waits", "running.startedAt"), at(t, ns, "last", "running.startedAt"); last.Sub(waits) < 3*time.Second {
		t.Errorf("the container after the sleep was started at %s, the one that slept at %s", last, waits)
	}
	follow := ns.Command("logs", "-f", "hooks", "-c", "web")
	follow.Stdout = &output{}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	slept := time.Now().Add(3 * time.Second).Truncate(time.Second) // as stamps are
	ns.Kubectl("delete", "pod", "hooks", "--wait=false").Exits(0)
	_ = follow.Wait()
	if log := follow.Stdout.(*output).String(); !contains(log, "web: hook stop") {
		t.Errorf("the log ends with %q", log)
	}
	ns.Until("jsonpath={.status.containerStatuses[?(@.name=='waits')].state.terminated.exitCode}", "143", "pod/hooks")
	if end := at(t, ns, "waits", "terminated.finishedAt"); end.Before(slept) {
		t.Errorf("the container ended at %s, its sleep at %s", end, slept)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "stopped")); err != nil || string(b) != "x" {
		t.Errorf("the exec before the end wrote %q, %v", b, err)
	}
	forget().Exits(0)
}

// at is a time in the state of a container of the pod "hooks".
func at(t *testing.T, ns *cluster.Namespace, container, field string) time.Time {
	t.Helper()
	stamp, err := time.Parse(time.RFC3339, ns.Ask("get", "pod", "hooks", "-o",
		"jsonpath={.status.containerStatuses[?(@.name=='"+container+"')].state."+field+"}"))
	if err != nil {
		t.Fatal(err)
	}
	return stamp
}
