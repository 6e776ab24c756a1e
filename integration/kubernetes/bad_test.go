// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

// bad is a pod that cannot run: more of its spec, its container, the reason of
// that one's state and the words that its user finds.
type bad struct {
	more, app, reason string
	words             []string

	name string
}

// badInput is told where the user looks: in the state of the container and in
// what describe says.
func badInput(t *testing.T, ns *cluster.Namespace) {
	img := harness.BadImage(t) // TestCluster has imported it
	var cases []bad
	for file, words := range harness.BadModules() {
		cases = append(cases, bad{more: once, app: container("app", img.Name, "", "/"+file), reason: "StartError", words: words})
	}
	for command, words := range map[string][]string{
		"/absent.wasm": {"no such file or directory"}, "/etc/passwd": {"is not a WebAssembly binary"},
		"/unknown-import.wasm": {"env.launch_missiles"}, "/noentry.wasm": {"entry point"},
		"/etc": {"is a directory"}, "/reactor.wasm#absent": {"absent"},
	} {
		cases = append(cases, bad{more: once, app: container("app", harness.Guests, "", command), reason: "StartError", words: words})
	}
	cases = append(cases, badPods(t, img.Name)...)
	retried := slices.IndexFunc(cases, func(c bad) bool { return c.more == "" && c.reason == "StartError" })
	watched, states := &output{}, ns.Command("get", "pods", "--watch", "-o",
		`jsonpath={.metadata.name}={.status.containerStatuses[0].state.waiting.reason}{"\n"}`)
	states.Stdout = watched
	ends(t, states, func() { badCases(ns, cases) })
	// Between a start that failed and the wait before the next.
	if state := cases[retried].name + "=RunContainerError\n"; !contains(watched.String(), state) {
		t.Errorf("%q is not among the states:\n%s", state, watched)
	}
}

// badCases applies the pods and has each tell.
func badCases(ns *cluster.Namespace, cases []bad) {
	manifest := ""
	for i := range cases {
		cases[i].name = fmt.Sprintf("bad-%d", i)
		manifest += pod(cases[i].name, cases[i].more, cases[i].app)
	}
	ns.Apply(manifest + `
---
apiVersion: v1
kind: Pod
metadata: {name: annotated, annotations: {io.containerd.wazero.v1/no-such-key: x}}
spec: {` + wasm + `, containers: [` + box("app", "", "true") + `]}
`)
	for _, c := range cases {
		c.told(ns)
	}
	// What describe says of the pod has its annotations too: only an event tells.
	var events string
	ns.Eventually("the bad annotation is named", func() bool {
		events = ns.Ask("get", "events", "--field-selector", "involvedObject.name=annotated,reason=FailedCreatePodSandBox",
			"-o", "jsonpath={.items[*].message}")
		return contains(events, "unknown annotation") && contains(events, "no-such-key")
	}, func() string { return events })
}

// badPods are those whose module is good, or that have none.
func badPods(t *testing.T, image string) []bad {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.wasm")
	if err := os.WriteFile(huge, []byte("\x00asm\x01\x00\x00\x00"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 257<<20); err != nil { // a hole, over the limit of 256 MiB
		t.Fatal(err)
	}
	return []bad{
		{more: once, app: container("app", image, "workingDir: /good.wasm", "/good.wasm", "true"),
			reason: "StartError", words: []string{"/good.wasm"}},
		{more: once + ", volumes: [{name: data, emptyDir: {}}]", app: container("app", image,
			"volumeMounts: [{name: data, mountPath: /good.wasm}]", "/good.wasm", "true"),
			reason: "StartError", words: []string{"/good.wasm", "director"}},
		{more: once + ", securityContext: {runAsUser: 1000}", app: container("app", image, "", "/unreadable.wasm"),
			reason: "StartError", words: []string{"unreadable.wasm", "permission denied"}},
		{more: once + ", volumes: [{name: host, hostPath: {path: " + dir + "}}]", app: container("app", image,
			"volumeMounts: [{name: host, mountPath: /host}]", "/host/huge.wasm"),
			reason: "StartError", words: []string{"huge.wasm", "268435456"}},
		{more: once, app: container("app", image, `env: [{name: HUGE, value: "`+strings.Repeat("x", 129<<10)+`"}]`, "/good.wasm", "true"),
			reason: "StartError", words: []string{"argument list too long", "131071"}},
		{app: container("app", image, "", "/missing.wasm"), // tried again and again
			reason: "StartError", words: []string{"missing.wasm", "no such file or directory"}},
		{app: container("app", image, ""), reason: "CreateContainerError", words: []string{"no command specified"}},
		{app: container("app", "docker.io/library/absent:test", ""), reason: "ErrImageNeverPull",
			words: []string{"docker.io/library/absent:test"}},
	}
}

// told waits until the pod's state has the reason and its description the words.
func (c bad) told(ns *cluster.Namespace) {
	const states = "jsonpath={.status.containerStatuses[0].state}{.status.containerStatuses[0].lastState}"
	var state, described string
	ns.Eventually(c.name+" says what is wrong", func() bool {
		state = ns.Kubectl("get", "pod", c.name, "-o", states).Stdout
		described = ns.Kubectl("describe", "pod", c.name).Stdout
		if !contains(state, `"reason":"`+c.reason+`"`) || !contains(described, "Reason:       "+c.reason) {
			return false
		}
		for _, word := range c.words {
			if !contains(state, word) || !contains(described, word) {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("%v of %s\n%s", c.words, state, described) })
}
