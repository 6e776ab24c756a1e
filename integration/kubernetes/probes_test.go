// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"testing"

	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// restarts is how often a container of a pod was.
func restarts(container string) string {
	return "jsonpath={.status.containerStatuses[?(@.name=='" + container + "')].restartCount}"
}

// probes of every kind decide, by the guest's answer, about readiness and life.
func probes(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("kinds", "",
		container("web", web, `env: [{name: SLOW_START, value: "2s"}],
    startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 30},
    livenessProbe: {grpc: {port: 9090}, periodSeconds: 1, timeoutSeconds: 5},
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, timeoutSeconds: 5}`),
		box("file", `readinessProbe: {exec: {command: [/box.wasm, exists, /tmp/ready]}, periodSeconds: 1, timeoutSeconds: 5}`,
			"sleep", "1000", ",", "write", "/tmp/ready", "x", ",", "sleep", "600000")) + dying())
	ns.Ready("kinds")
	ready := "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
	ns.Kubectl("exec", "kinds", "-c", "web", "--", "/box.wasm", "write", "/tmp/sick", "x").Exits(0)
	ns.Until(ready, "False", "pod/kinds")
	ns.Kubectl("exec", "kinds", "-c", "web", "--", "/box.wasm", "rm", "/tmp/sick").Exits(0)
	ns.Ready("kinds")
	for name, why := range map[string]string{"exec": "Liveness probe failed:", "tcp": "connection refused", "grpc": "unknown service"} {
		ns.Eventually("the container "+name+" is restarted for its probe", func() bool {
			described := ns.Kubectl("describe", "pod", "dies-"+name).Stdout
			return ns.Ask("get", "pod", "dies-"+name, "-o", restarts(name)) != "0" &&
				contains(described, "Container "+name+" failed liveness probe, will be restarted") && contains(described, why)
		}, func() string { return ns.Kubectl("describe", "pod", "dies-"+name).Stdout })
	}
	for _, name := range []string{"web", "file"} {
		ns.Until(restarts(name), "0", "pod/kinds")
	}
}

// dying are pods whose liveness probe fails, each of another kind: for a file that
// is not there, a port where nobody listens, a service the server does not have.
func dying() string {
	const often = ", periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 1}"
	return pod("dies-exec", "", box("exec", "livenessProbe: {exec: {command: [/box.wasm, exists, /tmp/absent]}"+often, "sleep", "600000")) +
		pod("dies-tcp", "", box("tcp", "livenessProbe: {tcpSocket: {port: 8080}"+often, "sleep", "600000")) +
		pod("dies-grpc", "", container("grpc", web, "startupProbe: {tcpSocket: {port: 9090}, periodSeconds: 1, failureThreshold: 60}"+
			", livenessProbe: {grpc: {port: 9090, service: absent}"+often))
}

// endings: exit codes, messages, restarts, and the state that describe shows.
func endings(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("says", once, box("app", "", "write", "/dev/termination-log", "the last words", ",", "exit", "3")) +
		pod("elsewhere", once, box("app", "terminationMessagePath: /tmp/words", "write", "/tmp/words", "said there", ",", "exit", "0")) +
		pod("logs", once, box("app", "terminationMessagePolicy: FallbackToLogsOnError", "err", "went wrong", ",", "exit", "4")) +
		pod("traps", once, container("app", harnessGuests, "", "/trap.wasm")) +
		pod("loops", "", box("app", "", "echo", "again", ",", "exit", "1")) +
		pod("spins", "", box("app", "", "spin")))
	state := func(field string) string {
		return "jsonpath={.status.containerStatuses[0].state.terminated." + field + "}"
	}
	ns.Until(state("message"), "the last words", "pod/says")
	ns.Until(state("message"), "said there", "pod/elsewhere")
	ns.Until(state("exitCode"), "3", "pod/says")
	ns.Until(state("reason"), "Error", "pod/says")
	ns.Until(state("message"), "went wrong", "pod/logs")
	ns.Until(state("exitCode"), "134", "pod/traps")
	ns.Until("jsonpath={.status.containerStatuses[0].state.waiting.reason}", "CrashLoopBackOff", "pod/loops")
	ns.Logs("again", "loops", "--previous")
	// It runs again in between: what describe shows goes to and fro.
	ns.Eventually("the loop is described", func() bool {
		told := ns.Ask("describe", "pod", "loops")
		return contains(told, "Reason:       CrashLoopBackOff") &&
			contains(told, "Last State:     Terminated\n      Reason:       Error\n      Exit Code:    1\n") &&
			contains(told, "Back-off restarting failed container app in pod loops")
	}, func() string { return ns.Ask("describe", "pod", "loops") })
	// A guest that spins ends at the first signal, not after the grace period.
	ns.Ready("spins")
	ns.Kubectl("delete", "pod", "spins", "--grace-period=600", "--timeout=30s").Exits(0)
}
