// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"strconv"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/harness"
)

func TestHello(t *testing.T) {
	node := harness.Shared(t)
	for guest, line := range map[string]string{
		"hello-c": "hello from C\n", "hello-rust": "hello from Rust\n",
		"hello-go": "hello from Go\n", "hello-wat": "hello from text\n",
	} {
		t.Run(guest, func(t *testing.T) {
			result := node.Guest(t, guest).Run().Is(0, line)
			if result.Stderr != "" {
				t.Errorf("stderr %q, want none", result.Stderr)
			}
		})
	}
}

func TestHelloByCtr(t *testing.T) {
	node := harness.Shared(t)
	node.Guest(t, "hello-c").Run() // imports the image
	node.Ctr(t, "run", "--rm", "--runtime", harness.Runtime, "--platform", "wasi/wasm",
		harness.Guests, "by-ctr", "/hello-c.wasm").Is(0, "hello from C\n")
}

func TestExitStatus(t *testing.T) {
	node := harness.Shared(t)
	for _, status := range []int{0, 1, 42, 255} {
		node.Guest(t, "box", "exit", strconv.Itoa(status)).Run().Is(status, "")
	}
	node.Guest(t, "exit42").Run().Is(42, "")
}

func TestTrap(t *testing.T) {
	node := harness.Shared(t)
	node.Guest(t, "trap").Run().Is(134, "").Complains("unreachable")
	// The name section gives the functions, DWARF the lines.
	result := node.Guest(t, "crash").Run().Is(134, "about to trap\n").
		Complains("unreachable", "inner", "middle", "main", "crash.c:")
	for _, trace := range []string{"goroutine", ".go:", "panic"} {
		if strings.Contains(result.Stderr, trace) {
			t.Errorf("stderr shows the host's own stack (%q): %s", trace, result.Stderr)
		}
	}
	node.Guest(t, "recurse").Run().Is(134, "").Complains("stack overflow")
	node.Guest(t, "panic-rust").Run().Is(134, "about to panic\n").Complains("a panic in Rust")
}

func TestArguments(t *testing.T) {
	harness.Shared(t).Guest(t, "box", "args", "", "two words", `"quoted"`, "ünï", "").Run().Is(0,
		"0 \"/box.wasm\"\n1 \"args\"\n2 \"\"\n3 \"two words\"\n4 \"\"quoted\"\"\n5 \"ünï\"\n6 \"\"\n")
}

func TestEnvironment(t *testing.T) {
	t.Setenv("OF_THE_HOST", "1")
	result := harness.Shared(t).Guest(t, "box", "env").Env("A=b c", "EMPTY=", "PATH=/bin").Run().Exits(0)
	got := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(result.Stdout), "\n") {
		got[line] = true
	}
	for _, want := range []string{"A=b c", "EMPTY=", "PATH=/bin"} {
		if !got[want] {
			t.Errorf("%q is missing in %q", want, result.Stdout)
		}
		delete(got, want)
	}
	if len(got) != 0 {
		t.Errorf("nobody gave %v", got)
	}
}

func TestStdin(t *testing.T) {
	node := harness.Shared(t)
	node.Guest(t, "box", "cat").Stdin(strings.NewReader("a line\n")).Run().Is(0, "a line\n")
	node.Guest(t, "box", "cat").Stdin(strings.NewReader("")).Run().Is(0, "")
	node.Guest(t, "box", "cat").Run().Is(0, "") // none at all

	task := node.Guest(t, "box", "answer").Interactive().Start()
	task.Type("one\n")
	task.Expect("got one\n")
	task.Type("two\n")
	task.Expect("got two\n")
	task.CloseStdin()
	task.Wait().Is(0, "got one\ngot two\n")
	task.Delete()
}

func TestWorkingDirectory(t *testing.T) {
	node := harness.Shared(t)
	for _, guest := range []string{"openrel-c", "openrel-rust", "openrel-go"} {
		t.Run(guest, func(t *testing.T) {
			node.Guest(t, guest, "here", "/etc/there").Cwd("/work").Run().
				Is(0, "here: a relative path\n/etc/there: an absolute path\n")
			node.Guest(t, guest, "work/here", "/etc/there").Run().
				Is(0, "work/here: a relative path\n/etc/there: an absolute path\n")
		})
	}
}

func TestEntryPoints(t *testing.T) {
	node := harness.Shared(t)
	node.Container(t, harness.Guests, "/reactor.wasm#foo").Run().Is(0, "foo, initialized 1 time(s)\n")
	node.Container(t, harness.Guests, "/reactor.wasm#fail").Run().Is(7, "")
	node.Container(t, harness.Guests, "tool.wasm", "echo", "by PATH").Run().Is(0, "by PATH\n")
	node.Container(t, harness.Guests, "./box.wasm", "echo", "relative").Run().Is(0, "relative\n")
}
