// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"maps"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// muteKubelet keeps the kubelet from telling the API server about its node.
const muteKubelet = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: mute-kubelet}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: ["*"], operations: [UPDATE], resources: [nodes/status]}]
  matchConditions: [{name: kubelet, expression: "request.userInfo.username == 'system:node:` + cluster.NodeName + `'"}]
  validations: [{expression: "false", message: the kubelet is mute}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: mute-kubelet}
spec: {policyName: mute-kubelet, validationActions: [Deny]}
`

// tooOld has the installer on a node of which the API server says that its containerd,
// and then its kernel, is too old: the kubelet is kept from saying otherwise.
func (i *installer) tooOld(t *testing.T) {
	ns := i.c.Namespace(t)
	i.mute(ns)
	t.Cleanup(func() { i.speak(t) }) // also if this fails
	for _, old := range []struct{ field, version, label, sentence string }{
		{"containerRuntimeVersion", "containerd://1.6.36", "unsupported-containerd", "its container runtime is containerd://1.6.36: containerd 1.7 or later is needed"},
		{"kernelVersion", "5.14.21", "unsupported-kernel", "its kernel is 5.14.21: 5.15 or later is needed"},
	} {
		i.c.Kubectl(t, "patch", "node", cluster.NodeName, "--subresource=status", "-p",
			`{"status": {"nodeInfo": {"`+old.field+`": "`+old.version+`"}}}`).Exits(0)
		i.kubectl(t, "delete", "pod", "-l", "app="+installerName).Exits(0) // of the round before
		i.apply(t, "deploy", "dev")
		i.labelled(t, ns, old.label)
		i.settled(t, old.label)
		i.says(t, ns, "this node cannot run wazero: "+old.sentence)
		if now := files(t, "/etc/containerd"); !maps.Equal(now, i.before) {
			t.Errorf("a node that cannot was configured: %q", now)
		}
		if found := files(t, "/opt/wazero"); len(found) > 1 { // the folder, which the kubelet makes
			t.Errorf("a node that cannot was given %v", found)
		}
	}
	i.unmute(t)
	i.apply(t, "deploy/remove", "dev")
	i.removed(t)
}

// mute has the policy, and waits until the kubelet has met it.
func (i *installer) mute(ns *cluster.Namespace) {
	ns.Apply(muteKubelet)
	log := func() string { return ns.Tail("kubelet") }
	ns.Eventually("the kubelet is refused", func() bool { return strings.Contains(log(), "the kubelet is mute") }, log)
}

// unmute waits until the kubelet has told the truth again.
func (i *installer) unmute(t *testing.T) {
	t.Helper()
	i.speak(t)
	harness.Eventually(t, "the node's versions are its own", func() bool {
		info := i.c.Kubectl(t, "get", "node", cluster.NodeName, "-o", "jsonpath={.status.nodeInfo}").Stdout
		return !strings.Contains(info, "://1.6.36") && !strings.Contains(info, `"5.14.21"`)
	})
}

// speak takes the policy away.
func (i *installer) speak(t *testing.T) {
	t.Helper()
	i.c.Kubectl(t, "delete", "--ignore-not-found", "validatingadmissionpolicybinding,validatingadmissionpolicy", "mute-kubelet").Exits(0)
}
