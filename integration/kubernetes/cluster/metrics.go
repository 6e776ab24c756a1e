// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"containerd-shim-wazero/integration/room"
)

const metrics = `
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {ports: [{name: https, port: 443, targetPort: 4443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: metrics-server, namespace: kube-system, labels: {kubernetes.io/service-name: metrics-server}}
addressType: IPv4
endpoints: [{addresses: [` + room.Bridge + `]}]
ports: [{name: https, port: 4443}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: metrics-server, namespace: kube-system}
`

// startMetrics starts metrics-server, by which `kubectl top` works. It serves
// once it has asked the node twice.
func (c *Cluster) startMetrics(t testing.TB) {
	t.Helper()
	config := c.file("admin.conf")
	c.start(t, "metrics-server", "--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config,
		"--secure-port=4443", "--cert-dir", c.file("metrics"), "--kubelet-insecure-tls",
		"--kubelet-preferred-address-types=InternalIP", "--metric-resolution=10s", "--kubelet-request-timeout=5s")
	c.apply(t, "", metrics)
}
