// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// TestCluster has one cluster run everything.
func TestCluster(t *testing.T) {
	c := cluster.New(t)
	c.Node.ImportCRI(t, harness.PauseImage(), harness.GuestsImage(t), harness.BusyboxImage(t))
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster.Namespace)
	}{
		{"hello", hello},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c.Namespace(t)) })
	}
}

func hello(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(`
apiVersion: v1
kind: Pod
metadata: {name: hello}
spec:
  runtimeClassName: wazero
  restartPolicy: Never
  containers:
  - {name: app, image: "` + harness.Guests + `", imagePullPolicy: Never, command: [/hello-rust.wasm]}
`)
	ns.Until("jsonpath={.status.phase}", "Succeeded", "pod/hello")
	ns.Logs("hello", "hello")
}
