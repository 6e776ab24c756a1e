// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
)

// cri is what the keys begin with by which CRI tells of pods.
const cri = "io.kubernetes.cri."

func key(name string) string { return harness.Runtime + "/" + name }

// TestPolicy has each annotation allow and refuse, and the operator hear of it.
func TestPolicy(t *testing.T) {
	node := harness.Shared(t)
	t.Run("listen", func(t *testing.T) {
		reach := func() *harness.Container {
			return node.Guest(t, "reach", "listen", "0.0.0.0", "8080", ",", "listen", "0.0.0.0", "8081")
		}
		reach().Run().Is(0, "listen: ok\nlisten: ok\n")
		reach().Annotation(key("listen"), "tcp:8080").Run().Is(0, "listen: ok\nlisten: Permission denied\n")
		hears(t, node, "listen tcp 0.0.0.0:8081 refused: no listen rule grants it")
		reach().Annotation(key("listen"), "none").Run().Is(0, strings.Repeat("listen: Permission denied\n", 2))
	})
	t.Run("connect", func(t *testing.T) {
		reach := func() *harness.Container {
			return node.Guest(t, "reach", "connect", "127.0.0.1", "9000", ",", "connect", "127.0.0.1", "9001")
		}
		refused := "connect: Connection refused\n" // by the kernel: nobody listens
		reach().Run().Is(0, refused+refused)
		reach().Annotation(key("connect"), "127.0.0.0/8:9000").Run().Is(0, refused+"connect: Permission denied\n")
		hears(t, node, "connect tcp 127.0.0.1:9001 refused: no connect rule grants it")
		reach().Annotation(key("connect"), "none").Run().Is(0, strings.Repeat("connect: Permission denied\n", 2))
		// A name grants no loopback.
		reach().Annotation(key("connect"), "localhost:9000").Run().Is(0, strings.Repeat("connect: Permission denied\n", 2))
	})
	t.Run("listen for exec", func(t *testing.T) {
		task := node.Guest(t, "box", "wait").Annotation(key("listen"), "none").Interactive().Start()
		task.Exec("reach", "listen", "0.0.0.0", "80").Run().Is(0, "listen: Permission denied\n")
		task.CloseStdin()
		task.Wait().Exits(0)
		task.Delete()
	})
	t.Run("preopens", func(t *testing.T) {
		box := func(list string, args ...string) *harness.Result {
			return node.Guest(t, "box", args...).Annotation(key("preopens"), list).Run()
		}
		box("/work,/etc:ro", "ls", "/work", ",", "write", "/work/new", "x", ",", "try", "write", "/etc/new", "x", ",", "try", "ls", "/home").
			Exits(0).Prints("here\n", "box: /etc/new: ", "box: /home: ")
		box("/etc=/there", "cat", "/there/there").Is(0, "an absolute path\n")
		box("none", "try", "ls", "/").Exits(0).Prints("box: /: ")
		// A narrow directory is no way to the rest of the root.
		box("/work", "try", "symlink", "/etc/there", "/work/link", ",",
			"symlink", "../etc/there", "/work/up", ",", "try", "cat", "/work/up", ",", "try", "cat", "/work/../etc/there").
			Exits(0).Prints("box: /work/link: ", "box: /work/up: ", "box: /work/../etc/there: ")
	})
}

// TestDeadlines end a guest, whatever it is at.
func TestDeadlines(t *testing.T) {
	node := harness.Shared(t)
	for _, row := range []struct {
		key, value string
		args       []string
	}{
		{"timeout", "300ms", []string{"spin"}}, {"timeout", "300ms", []string{"sleep", "100000"}},
		{"timeout", "300ms", []string{"wait"}}, {"cpu-timeout", "1s", []string{"spin"}},
	} {
		container := node.Guest(t, "box", row.args...).Annotation(key(row.key), row.value)
		if row.args[0] == "wait" {
			container.Interactive()
		}
		task := container.Start()
		task.WaitFor(10 * time.Second).Exits(137)
		task.Delete()
	}
	hears(t, node, "has run for its timeout of 300ms and is ended")
	hears(t, node, "has used up its cpu-timeout of 1s and was killed")
	// Neither ends one that is within it.
	node.Guest(t, "box", "sleep", "50").Annotation(key("timeout"), "1m").Run().Exits(0)
	node.Guest(t, "box", "sleep", "1200").Annotation(key("cpu-timeout"), "1s").Run().Exits(0)
}

// TestPolicyOfOneContainer: a key with a container's name is for that one.
func TestPolicyOfOneContainer(t *testing.T) {
	node := harness.Shared(t)
	reach := func() *harness.Container {
		return node.Guest(t, "reach", "listen", "0.0.0.0", "8080").
			Annotation(key("listen"), "none").Annotation(key("listen.web"), "tcp:8080")
	}
	for name, want := range map[string]string{"web": "listen: ok\n", "db": "listen: Permission denied\n"} {
		reach().Annotation(cri+"container-type", "container").Annotation(cri+"sandbox-id", "pod").
			Annotation(cri+"container-name", name).Run().Is(0, want)
	}
	sentence(t, reach().Refused("listen.web", "only pods"))
}

// TestBadPolicy: what is not known or not understood is refused by Create.
func TestBadPolicy(t *testing.T) {
	node := harness.Shared(t)
	for annotation, value := range map[string]string{
		"network": "none", "listens": "tcp:1", "listen": "tcp:99999", "connect": "no port", "preopens": "relative",
		"timeout": "soon", "cpu-timeout": "-1s", "mystery.web": "x",
	} {
		t.Run(annotation, func(t *testing.T) {
			sentence(t, node.Guest(t, "hello-c").Annotation(key(annotation), value).Refused(annotation))
		})
	}
}

// hears waits until the shim's log has a text.
func hears(t *testing.T, node *harness.Node, text string) {
	t.Helper()
	harness.Eventually(t, "the log has "+text, func() bool { return strings.Contains(node.Log(t), text) })
}

// TestFileSizeLimit: the guest gets an error and goes on.
func TestFileSizeLimit(t *testing.T) {
	limit := func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_FSIZE", Soft: 1 << 20, Hard: 1 << 20}}
	}
	harness.Shared(t).Guest(t, "box", "fill", "/tmp/f", "1", ",", "try", "fill", "/tmp/f", "2", ",", "try", "truncate", "/tmp/f", "2000000", ",", "stat", "/tmp/f").
		Spec(limit).Run().Is(0, "wrote 1 MB\nbox: /tmp/f: File too large\nbox: /tmp/f: File too large\n/tmp/f file 1048576 1\n")
}
