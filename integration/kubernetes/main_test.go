// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// TestCluster has one cluster run everything.
func TestCluster(t *testing.T) {
	c := cluster.New(t)
	c.Node.ImportCRI(t, cluster.PauseImage(t), harness.GuestsImage(t), harness.BusyboxImage(t), webImage(t), harness.BadImage(t))
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster.Namespace)
	}{
		{"hello", hello},
		{"deployment", deployment},
		{"service", service},
		{"jobs", jobs},
		{"stateful set", statefulSet},
		{"daemon set", daemonSet},
		{"volumes", volumes},
		{"probes", probes},
		{"hooks", hooks},
		{"endings", endings},
		{"kubectl", kubectl},
		{"copy", copying},
		{"limits", limits},
		{"tasks", tasks},
		{"evicted", evicted},
		{"resize", resize},
		{"figures", figures},
		{"security", security},
		{"capabilities", capabilities},
		{"seccomp", seccomp},
		{"host namespaces", hostNamespaces},
		{"user namespace", userNamespace},
		{"mixed", mixed},
		{"sidecar", sidecar},
		{"debug", debug},
		{"bad input", badInput},
		{"example", example},
		{"many", many},
		{"killed", killed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c.Namespace(t)) })
	}
}

const (
	web = "docker.io/library/web:test"

	// wasm begins a pod's spec.
	wasm = "runtimeClassName: wazero, terminationGracePeriodSeconds: 5"
)

// webImage has an HTTP server, a tar and the box.
func webImage(t testing.TB) image.Image {
	t.Helper()
	files := append(harness.BaseFiles(), image.Dir("work", 0o777))
	for path, guest := range map[string]string{"web.wasm": "kubernetes/web.wasm", "bin/tar": "kubernetes/tar.wasm", "box.wasm": "box.wasm"} {
		file, err := image.Copy(path, harness.Built(t, "guests", guest))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return image.Image{Name: web, Files: files,
		Config: v1.ImageConfig{Entrypoint: []string{"/web.wasm"}, Env: []string{"PATH=/bin"}}}
}

// container is one of the box, in YAML's flow form, with more fields.
func box(name, more string, command ...string) string {
	return container(name, harness.Guests, more, append([]string{"/box.wasm"}, command...)...)
}

func container(name, image, more string, command ...string) string {
	text := `{name: "` + name + `", image: "` + image + `", imagePullPolicy: Never`
	if len(command) > 0 {
		text += ", command: ["
		for i, word := range command {
			if i > 0 {
				text += ", "
			}
			text += `"` + word + `"`
		}
		text += "]"
	}
	if more != "" {
		text += ", " + more
	}
	return text + "}"
}

// pod is a pod of containers, with more fields in its spec.
func pod(name, more string, containers ...string) string {
	text := `
---
apiVersion: v1
kind: Pod
metadata: {name: "` + name + `", labels: {app: "` + name + `"}}
spec: {` + wasm
	if more != "" {
		text += ", " + more
	}
	text += ", containers: ["
	for i, c := range containers {
		if i > 0 {
			text += ", "
		}
		text += c
	}
	return text + "]}\n"
}

const once = "restartPolicy: Never"

// phase is what a pod's end is asked by.
const phase = "jsonpath={.status.phase}"

func hello(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("hello", once, container("app", harness.Guests, "", "/hello-rust.wasm")))
	ns.Until(phase, "Succeeded", "pod/hello")
	ns.Logs("hello", "hello")
	ns.Until("jsonpath={.status.containerStatuses[0].state.terminated.reason}", "Completed", "pod/hello")
	if line := ns.Ask("get", "pod", "hello", "--no-headers"); !contains(line, " Completed ") {
		t.Errorf("kubectl get pod says %q", line)
	}
}
