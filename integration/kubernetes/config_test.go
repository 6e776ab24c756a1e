// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// volumes of every kind, as files that a guest reads and writes, and the
// environment that comes from the same sources.
func volumes(t *testing.T, ns *cluster.Namespace) {
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "from-host"), []byte("the host's\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(host, 0o777); err != nil {
		t.Fatal(err)
	}
	ns.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: "blue\n", shape: "round\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: "s3cret\n"}
` + pod("volumes", once+`, volumes: [
    {name: settings, configMap: {name: settings}},
    {name: secret, secret: {secretName: secret, defaultMode: 256}},
    {name: all, projected: {sources: [
      {serviceAccountToken: {path: token, audience: test}},
      {configMap: {name: settings, items: [{key: shape, path: deep/shape}]}},
      {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}},
    {name: scratch, emptyDir: {}},
    {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}},
    {name: host, hostPath: {path: `+host+`, type: Directory}}]`,
		box("app", `env: [
      {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}},
      {name: PASSWORD, valueFrom: {secretKeyRef: {name: secret, key: password}}},
      {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}},
      {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}],
    resources: {limits: {memory: 64Mi}},
    volumeMounts: [
      {name: settings, mountPath: /settings, readOnly: true},
      {name: settings, mountPath: /one/colour, subPath: colour},
      {name: secret, mountPath: /secret},
      {name: all, mountPath: /all},
      {name: scratch, mountPath: /scratch},
      {name: memory, mountPath: /memory},
      {name: host, mountPath: /host},
      {name: host, mountPath: /host-ro, readOnly: true}]`,
			"cat", "/settings/colour", "/settings/shape", "/one/colour", "/secret/password", "/all/deep/shape", "/all/labels", ",",
			"echo", ",", "stat", "/all/token", ",",
			"get", "COLOUR", ",", "get", "PASSWORD", ",", "get", "NODE", ",", "get", "MEMORY", ",",
			"write", "/scratch/a", "kept apart", ",", "cat", "/scratch/a", ",", "echo", ",",
			"write", "/memory/a", "in memory", ",", "cat", "/memory/a", ",", "echo", ",",
			"try", "fill", "/memory/big", "4", ",",
			"cat", "/host/from-host", ",", "write", "/host/from-guest", "the guest's", ",",
			"try", "write", "/host-ro/x", "x", ",", "try", "write", "/settings/x", "x", ",",
			"try", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/namespace", ",", "echo", ",", "echo", "end")))
	ns.Until(phase, "Succeeded", "pod/volumes")
	log := ns.Ask("logs", "volumes")
	for _, want := range []string{
		"blue\nround\nblue\ns3cret\nround\napp=\"volumes\"\n", "\nblue\n", "\ns3cret\n", "\n" + cluster.NodeName + "\n", "\n67108864\n",
		"\nkept apart\n", "\nin memory\n", "box: /memory/big: No space left on device", "\nthe host's\n",
		"box: /host-ro/x: Read-only file system", "box: /settings/x: Read-only file system", "\n" + ns.Name + "\n", "\nend",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log", want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
	if b, err := os.ReadFile(filepath.Join(host, "from-guest")); err != nil || string(b) != "the guest's" {
		t.Errorf("on the host: %q, %v", b, err)
	}
}

func hostNamespaces(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("host", "hostNetwork: true, hostPID: true, hostIPC: true", box("app", "", "sleep", "600000")))
	ns.Ready("host")
	pid := ns.Pid("host", "app")
	for _, kind := range []string{"net", "pid", "ipc", "uts"} {
		if own, host := link(t, pid, kind), link(t, "self", kind); own != host {
			t.Errorf("the %s namespace is %s, the host's %s", kind, own, host)
		}
	}
}

// userNamespace is a pod with hostUsers: false.
func userNamespace(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("mapped", "hostUsers: false, volumes: [{name: data, emptyDir: {}}]",
		box("app", "volumeMounts: [{name: data, mountPath: /data}]", "write", "/data/x", "mine", ",", "cat", "/data/x", ",", "echo", ",", "sleep", "600000")))
	ns.Ready("mapped")
	ns.Logs("mine", "mapped")
	pid := ns.Pid("mapped", "app")
	if link(t, pid, "user") == link(t, "self", "user") {
		t.Error("the pod is in the host's user namespace")
	}
	if status, err := os.ReadFile("/proc/" + pid + "/status"); err != nil || strings.Contains(string(status), "\nUid:\t0\t") {
		t.Errorf("the process is root on the host: %v", err)
	}
}

func link(t testing.TB, pid, kind string) string {
	t.Helper()
	link, err := os.Readlink("/proc/" + pid + "/ns/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	return link
}
