// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"io"
	"net/http"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

func busybox(name, more, line string) string {
	return container(name, harness.Busybox, more, "sh", "-c", line)
}

// mixed is a pod of both kinds: an init container prepares a volume, a native
// sidecar lives beside the Wasm server, and another stands before it: who asks the
// pod asks that one, and it the server.
func mixed(t *testing.T, ns *cluster.Namespace) {
	volume := "volumeMounts: [{name: shared, mountPath: /shared}]"
	ns.Apply(pod("mixed", `volumes: [{name: shared, emptyDir: {}}],
    initContainers: [`+busybox("prepare", volume, "echo prepared > /shared/page")+`,
      `+busybox("sidecar", volume+", restartPolicy: Always, startupProbe: {exec: {command: [cat, /shared/page]}, periodSeconds: 1}",
		"exec httpd -f -p 127.0.0.1:9000 -h /shared")+`]`,
		container("web", web, volume+", env: [{name: VERSION, value: behind}]"),
		busybox("proxy", "readinessProbe: {httpGet: {path: /healthz, port: 8000}, periodSeconds: 1, timeoutSeconds: 5}",
			"exec nc -ll -p 8000 -e nc 127.0.0.1 8080")))
	ns.Ready("mixed")
	address := "http://" + ns.Ask("get", "pod", "mixed", "-o", "jsonpath={.status.podIP}") + ":8000"
	fetched(t, address+"/", "web behind\n")
	// Through the proxy to the guest, and from there to the other sidecar: once a
	// file of the Linux container's, once the guest's.
	fetched(t, address+"/get?url=http://127.0.0.1:9000/page", "prepared\n")
	ns.Kubectl("exec", "mixed", "-c", "web", "--", "/box.wasm", "cat", "/shared/page").Is(0, "prepared\n")
	ns.Kubectl("exec", "mixed", "-c", "web", "--", "/box.wasm", "write", "/shared/answer", "written by the guest").Exits(0)
	ns.Kubectl("exec", "mixed", "-c", "sidecar", "--", "cat", "/shared/answer").Is(0, "written by the guest")
	fetched(t, address+"/get?url=http://127.0.0.1:9000/answer", "written by the guest")

	// The kinds see each other's processes if they are to.
	ns.Apply(pod("seen", "shareProcessNamespace: true", container("web", web, ""), busybox("look", "", "exec sleep 600000")))
	ns.Ready("seen")
	ns.Kubectl("exec", "seen", "-c", "look", "--", "ps").Exits(0).Prints("/web.wasm", "sleep 600000")

	// Of a Job, a sidecar does not keep the pod from its end.
	ns.Apply(pod("job", once+", initContainers: ["+busybox("sidecar", "restartPolicy: Always", "exec sleep 600000")+"]",
		box("app", "", "exit", "0")))
	ns.Until(phase, "Succeeded", "pod/job")
}

// fetched asks as a client outside of the pod.
func fetched(t *testing.T, url, want string) {
	t.Helper()
	client := &http.Client{Timeout: harness.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || string(body) != want {
		t.Errorf("%s: %s, %q, %v, want %q", url, res.Status, body, err, want)
	}
}

// sidecar: the init container and the native sidecar are the Wasm ones. The main
// container begins when the one has ended and the other is up, and the sidecar,
// which is restarted meanwhile, goes with it.
func sidecar(t *testing.T, ns *cluster.Namespace) {
	volume := "volumeMounts: [{name: shared, mountPath: /shared}]"
	ns.Apply(pod("app", once+`, volumes: [{name: shared, emptyDir: {}}],
    initContainers: [`+box("prepare", volume, "write", "/shared/page", "prepared")+`,
      `+container("web", web, `restartPolicy: Always, env: [{name: VERSION, value: aside}, {name: SLOW_START, value: "2s"}],
        startupProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 60}`)+`,
      `+box("again", "restartPolicy: Always", "sleep", "2000")+`]`,
		busybox("main", volume, "set -e; cat /shared/page; wget -q -O - http://127.0.0.1:8080/; while [ ! -e /shared/enough ]; do sleep 1; done")))
	ns.Logs("preparedweb aside\n", "app", "-c", "main")
	state := func(name, field string) string {
		return "jsonpath={.status.initContainerStatuses[?(@.name=='" + name + "')]." + field + "}"
	}
	ns.Until(state("prepare", "state.terminated.reason"), "Completed", "pod/app")
	ns.Until(state("web", "ready"), "true", "pod/app")
	ns.Eventually("the sidecar that ends is restarted", func() bool {
		return ns.Ask("get", "pod", "app", "-o", state("again", "restartCount")) != "0"
	}, func() string { return ns.Ask("describe", "pod", "app") })
	ns.Kubectl("exec", "app", "-c", "main", "--", "sh", "-c", ": > /shared/enough").Exits(0)
	ns.Until(phase, "Succeeded", "pod/app")
	ns.Until(state("web", "state.terminated.exitCode"), "143", "pod/app")
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
