// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"os"
	"strconv"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// base is what the tests find in the cluster: the class, and CoreDNS, which runs
// beside the kubelet, as the service of the cluster's DNS.
const base = `
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: ` + harness.Handler + `}
handler: ` + harness.Handler + `
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: ` + dnsService + `
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [` + room.Bridge + `]}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
`

// PodPids is how many tasks a pod may have.
const PodPids = 256

// The users of the token file.
const (
	adminToken, kubeletToken = "admin-token", "kubelet-token"

	tokens = adminToken + `,admin,admin,"system:masters"
` + kubeletToken + `,system:node:` + NodeName + `,kubelet,"system:nodes"
`
)

// writeFiles writes what the servers read.
func (c *Cluster) writeFiles() error {
	if err := c.writeCertificates(); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"tokens.csv":   tokens,
		"admin.conf":   c.kubeconfig(adminToken),
		"kubelet.conf": c.kubeconfig(kubeletToken),
		"kubelet.yaml": c.kubelet(),
		"Corefile":     c.corefile(),
		"resolv.conf":  "nameserver " + room.Bridge + "\n",
	} {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) kubeconfig(token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%s", certificate-authority: %s}}]
users: [{name: user, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: user}}]
current-context: test
`, apiPort, c.file("ca.crt"), token)
}

func (c *Cluster) kubelet() string {
	return `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: ` + c.file("ca.crt") + `}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://` + c.Node.Address + `
cgroupDriver: cgroupfs
cgroupRoot: /` + room.Name() + `
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
enforceNodeAllocatable: []
evictionHard: {memory.available: 1Mi, nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
clusterDNS: [` + dnsService + `]
clusterDomain: ` + domain + `
resolvConf: ` + c.file("resolv.conf") + `
podPidsLimit: ` + strconv.Itoa(PodPids) + `
nodeStatusUpdateFrequency: 5s
volumeStatsAggPeriod: 5s
syncFrequency: 10s
`
}

// corefile is that of a kubeadm cluster, without what needs a network outside.
func (c *Cluster) corefile() string {
	return `.:53 {
	errors
	kubernetes ` + domain + ` in-addr.arpa ip6.arpa {
		kubeconfig ` + c.file("admin.conf") + `
		pods insecure
		ttl 1
	}
	cache 1
	loadbalance
}
`
}
