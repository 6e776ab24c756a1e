// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/kubernetes/cluster"
)

const harnessGuests = harness.Guests

type output = harness.Output

func contains(text, part string) bool { return strings.Contains(text, part) }

// kubectl's commands on a container that runs.
func kubectl(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("app", "", box("app", "stdin: true, stdinOnce: true", "echo", "begun", ",", "answer", ",", "sleep", "600000"),
		container("web", web, `env: [{name: VERSION, value: forwarded}]`)))
	ns.Ready("app")
	ns.Logs("begun", "app", "-c", "app")
	attach := ns.Command("attach", "-i", "app", "-c", "app")
	attach.Stdin = strings.NewReader("typed\n")
	answered := &output{}
	attach.Stdout = answered
	ends(t, attach, func() {
		ns.Eventually("attach prints the answer", func() bool { return contains(answered.String(), "got typed\n") }, answered.String)
	})
	ns.Logs("got typed", "app", "-c", "app")

	ns.Kubectl("exec", "app", "-c", "app", "--", "/box.wasm", "echo", "hi").Is(0, "hi\n")
	ns.Kubectl("exec", "app", "-c", "app", "--", "/box.wasm", "exit", "7").Exits(7)
	in := ns.Command("exec", "-i", "app", "-c", "app", "--", "/box.wasm", "cat")
	in.Stdin = strings.NewReader("by stdin\n")
	harness.Execute(t, in).Is(0, "by stdin\n")
	tty := ns.Command("exec", "-it", "app", "-c", "app", "--", "/box.wasm", "tty")
	harness.OnTerminal(t, tty).Ends().Exits(0).Prints("0 is a tty", "1 is a tty", "2 is a tty")
	ns.Kubectl("exec", "app", "-c", "app", "--", "sh").Exits(1).Complains("sh")

	forward := ns.Command("port-forward", "pod/app", ":8080")
	said := &output{}
	forward.Stdout = said
	ends(t, forward, func() {
		port := regexp.MustCompile(`127\.0\.0\.1:(\d+)`)
		ns.Eventually("the port is forwarded", func() bool { return port.MatchString(said.String()) }, said.String)
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%s/", port.FindStringSubmatch(said.String())[1]))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || string(body) != "web forwarded\n" {
			t.Errorf("through the forwarded port: %s, %q, %v", res.Status, body, err)
		}
	})
}

// ends runs a command for as long as something else is done.
func ends(t testing.TB, cmd *exec.Cmd, do func()) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	do()
}

// copying is `kubectl cp`, both ways, by a tar module of the image.
func copying(t *testing.T, ns *cluster.Namespace) {
	ns.Apply(pod("web", "", container("web", web, "")))
	ns.Ready("web")
	dir := t.TempDir()
	var text strings.Builder
	for i := range 10000 {
		fmt.Fprintln(&text, "and back,", i)
	}
	if err := os.WriteFile(filepath.Join(dir, "there"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	ns.Kubectl("cp", filepath.Join(dir, "there"), "web:/work/copied").Exits(0)
	ns.Kubectl("cp", "web:/work/copied", filepath.Join(dir, "back")).Exits(0)
	if b, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || string(b) != text.String() {
		t.Errorf("%d bytes came back, not the same %d: %v", len(b), text.Len(), err)
	}
}
