// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
)

// Namespace is a test's own; it goes with the test, and must leave nothing.
type Namespace struct {
	*Cluster
	Name string

	t testing.TB
}

// Namespace makes one that is named after the test.
func (c *Cluster) Namespace(t testing.TB) *Namespace {
	t.Helper()
	parts := strings.Split(t.Name(), "/")
	name := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(parts[len(parts)-1]))
	before := harness.Hold()
	c.Kubectl(t, "create", "namespace", name).Exits(0)
	ns := &Namespace{Cluster: c, Name: name, t: t}
	harness.Eventually(t, "the namespace has its account", func() bool {
		return ns.Kubectl("get", "serviceaccount", "default").Status == 0
	})
	t.Cleanup(func() { ns.remove(before) })
	return ns
}

func (ns *Namespace) remove(before harness.Holdings) {
	if ns.t.Failed() {
		ns.explain()
	}
	ns.Kubectl("delete", "pods", "--all", "--grace-period=1").Exits(0)
	ns.Cluster.Kubectl(ns.t, "delete", "namespace", ns.Name, "--timeout", (2 * harness.Patience).String()).Exits(0)
	ns.RemoveEnded()
	for _, item := range harness.LeftSince(before) {
		ns.t.Errorf("left behind: %s", item)
	}
}

// RemoveEnded removes what is left on the node of pods that have ended. The kubelet
// does this too, within a minute.
func (ns *Namespace) RemoveEnded() {
	ns.t.Helper()
	for _, sandbox := range strings.Fields(ns.Node.Crictl(ns.t, "pods", "-q", "--state", "NotReady").Exits(0).Stdout) {
		ns.Node.Crictl(ns.t, "rmp", sandbox)
	}
}

// explain says how things stand when a test has failed.
func (ns *Namespace) explain() {
	for _, args := range [][]string{{"get", "all", "-o", "wide"}, {"describe", "pods"}} {
		ns.t.Logf("kubectl %s:\n%s", strings.Join(args, " "), ns.Kubectl(args...).Stdout)
	}
	for _, server := range []string{"kubelet", "kube-proxy"} {
		ns.t.Logf("the end of %s's log:\n%s", server, ns.Tail(server))
	}
}

// Kubectl runs kubectl in the namespace.
func (ns *Namespace) Kubectl(args ...string) *harness.Result {
	ns.t.Helper()
	return harness.Execute(ns.t, ns.Command(args...))
}

// Command is Kubectl before it runs.
func (ns *Namespace) Command(args ...string) *exec.Cmd {
	ns.t.Helper()
	return ns.Cluster.Command(ns.t, append([]string{"-n", ns.Name}, args...)...)
}

// Apply hands a manifest in.
func (ns *Namespace) Apply(manifest string) {
	ns.t.Helper()
	ns.apply(ns.t, ns.Name, manifest)
}

// Ask is what kubectl prints, without spaces around; it must succeed.
func (ns *Namespace) Ask(args ...string) string {
	ns.t.Helper()
	return strings.TrimSpace(ns.Kubectl(args...).Exits(0).Stdout)
}

// Ready waits until a pod is.
func (ns *Namespace) Ready(pods ...string) {
	ns.t.Helper()
	for _, pod := range pods {
		ns.Until("jsonpath={.status.conditions[?(@.type=='Ready')].status}", "True", "pod/"+pod)
	}
}

// Until waits until a question about an object ("-o" of kubectl get) has the answer.
func (ns *Namespace) Until(question, answer string, object ...string) {
	ns.t.Helper()
	var last string
	got := func() bool {
		r := ns.Kubectl(append([]string{"get", "-o", question}, object...)...)
		last = strings.TrimSpace(r.Stdout)
		return r.Status == 0 && last == answer
	}
	ns.Eventually(fmt.Sprintf("%s of %v is %q", question, object, answer), got, func() string { return last })
}

// Logs waits until a container's log has the text in it.
func (ns *Namespace) Logs(text string, args ...string) {
	ns.t.Helper()
	var last string
	ns.Eventually(fmt.Sprintf("%q in the log of %v", text, args), func() bool {
		last = ns.Kubectl(append([]string{"logs"}, args...)...).Stdout
		return strings.Contains(last, text)
	}, func() string { return last })
}

// Eventually waits for a condition, with the patience that a cluster needs, and
// fails the test with what was last seen.
func (ns *Namespace) Eventually(what string, condition func() bool, last func() string) {
	ns.t.Helper()
	if !harness.Soon(2*harness.Patience, condition) {
		ns.t.Fatalf("waited in vain: %s; the last was %q", what, last())
	}
}

// Pid is the process of a pod's container, on the node.
func (ns *Namespace) Pid(pod, container string) string {
	ns.t.Helper()
	id := ns.Ask("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[?(@.name=='"+container+"')].containerID}")
	var answer struct {
		Info struct {
			Pid int `json:"pid"`
		} `json:"info"`
	}
	ns.Node.CrictlJSON(ns.t, &answer, "inspect", strings.TrimPrefix(id, "containerd://"))
	if answer.Info.Pid == 0 {
		ns.t.Fatalf("no process of %s in %s", container, pod)
	}
	return strconv.Itoa(answer.Info.Pid)
}
