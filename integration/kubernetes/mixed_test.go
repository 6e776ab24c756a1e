// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

func busybox(name, more, line string) string {
	return container(name, harness.Busybox, more, "sh", "-c", line)
}

// mixed is a pod of both kinds: an init container prepares a volume, a native
// sidecar lives beside the Wasm server, and each asks the other.
func mixed(t *testing.T, ns *cluster.Namespace) {
	volume := "volumeMounts: [{name: shared, mountPath: /shared}]"
	ns.Apply(pod("mixed", `volumes: [{name: shared, emptyDir: {}}],
    initContainers: [`+busybox("prepare", volume, "echo prepared > /shared/page")+`,
      `+busybox("sidecar", volume+", restartPolicy: Always, startupProbe: {exec: {command: [cat, /shared/page]}, periodSeconds: 1}",
		"exec httpd -f -p 127.0.0.1:9000 -h /shared")+`]`,
		container("web", web, volume),
		busybox("proxy", "readinessProbe: {exec: {command: [wget, -q, -O, '-', 'http://127.0.0.1:8080/healthz']}, periodSeconds: 1, timeoutSeconds: 5}",
			"exec sleep 600000")))
	ns.Ready("mixed")
	ns.Kubectl("exec", "mixed", "-c", "proxy", "--", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/").Exits(0).Prints("web")
	ns.Kubectl("exec", "mixed", "-c", "web", "--", "/web.wasm", "get", "http://127.0.0.1:9000/page").Is(0, "prepared\n")
	ns.Kubectl("exec", "mixed", "-c", "web", "--", "/box.wasm", "cat", "/shared/page").Is(0, "prepared\n")

	// The kinds see each other's processes if they are to.
	ns.Apply(pod("seen", "shareProcessNamespace: true", container("web", web, ""), busybox("look", "", "exec sleep 600000")))
	ns.Ready("seen")
	ns.Kubectl("exec", "seen", "-c", "look", "--", "ps").Exits(0).Prints("/web.wasm", "sleep 600000")

	// Of a Job, a sidecar does not keep the pod from its end.
	ns.Apply(pod("job", once+", initContainers: ["+busybox("sidecar", "restartPolicy: Always", "exec sleep 600000")+"]",
		box("app", "", "exit", "0")))
	ns.Until(phase, "Succeeded", "pod/job")
}

// debug brings a busybox into a pod whose image has no shell.
func debug(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("app", "", container("web", web, "")))
	ns.Ready("app")
	ns.Kubectl("debug", "app", "--image="+harness.Busybox, "--image-pull-policy=Never", "--target=web", "--profile=general",
		"--container=look", "--", "sh", "-c", "ps; wget -q -O - http://127.0.0.1:8080/; echo end").Exits(0)
	ns.Logs("end", "app", "-c", "look")
	ns.Logs("/web.wasm", "app", "-c", "look")
	ns.Logs("web ", "app", "-c", "look")
}
