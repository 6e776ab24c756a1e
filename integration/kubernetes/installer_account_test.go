// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// account is what the installer's account may do.
func (i *installer) account(t *testing.T) {
	t.Helper()
	pod := i.kubectl(t, "get", "pods", "-o", "name").Exits(0).Stdout
	pod = strings.TrimPrefix(strings.TrimSpace(pod), "pod/")
	bound := i.kubectl(t, "create", "token", installerName, "--bound-object-kind", "Pod", "--bound-object-name", pod).Exits(0).Stdout
	loose := i.kubectl(t, "create", "token", installerName).Exits(0).Stdout
	i.patch(t, "", "other", "", "").Exits(0) // the administrator makes another node
	defer i.kubectl(t, "delete", "node", "other")
	mine := `, labels: {"io.containerd.wazero.v1/node": ready}`
	for _, try := range []struct {
		name, token, node, metadata, spec, refusal string
	}{
		{"its label", bound, cluster.NodeName, mine, "", ""},
		{"another node", bound, "other", mine, "", "only the node that its pod is on"},
		{"a token of no pod", loose, cluster.NodeName, mine, "", "only the node that its pod is on"},
		{"another label", bound, cluster.NodeName, `, labels: {tier: gold}`, "", "only its own label"},
		{"an annotation", bound, cluster.NodeName, `, annotations: {tier: gold}`, "", "nothing of a node but"},
		{"a taint", bound, cluster.NodeName, "", "{unschedulable: true}", "nothing of a node but"},
		{"a new node", bound, "third", mine, "", "forbidden"},
	} {
		r := i.patch(t, strings.TrimSpace(try.token), try.node, try.metadata, try.spec)
		if try.refusal == "" {
			r.Exits(0)
		} else if r.Status == 0 || !strings.Contains(r.Stderr, try.refusal) {
			t.Errorf("%s: status %d, %s", try.name, r.Status, r.Stderr)
		}
	}
	if r := i.kubectl(t, "--token", strings.TrimSpace(bound), "get", "nodes"); r.Status == 0 {
		t.Error("the account may list nodes")
	}
}

// patch changes a node as the owner of a token, or as the administrator, in one
// request.
func (i *installer) patch(t *testing.T, token, node, metadata, spec string) *harness.Result {
	t.Helper()
	args := []string{"apply", "--server-side", "--force-conflicts", "--validate=false", "--field-manager=test-" + node, "-f", "-"}
	if token != "" {
		args = append(args, "--token", token)
	}
	cmd := i.c.Command(t, args...)
	text := fmt.Sprintf("apiVersion: v1\nkind: Node\nmetadata: {name: %s%s}\n", node, metadata)
	if spec != "" {
		text += "spec: " + spec + "\n"
	}
	cmd.Stdin = strings.NewReader(text)
	return harness.Execute(t, cmd)
}
