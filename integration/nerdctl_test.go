// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/harness"
)

// TestNerdctl: nerdctl sets its network up in hooks of the bundle, and logs by a
// program of its own.
func TestNerdctl(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion)
	node.Import(t, harness.GuestsImage(t))
	dir := t.TempDir()
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(harness.Built(t, "stack", "nerdctl", "bin", "nerdctl"), append([]string{
			"--address", node.Address, "--namespace", node.Namespace, "--data-root", filepath.Join(dir, "data"),
			"--cni-path", "/usr/lib/cni", "--cni-netconfpath", filepath.Join(dir, "cni"), "--cgroup-manager", "cgroupfs",
		}, args...)...)
		cmd.Env = []string{"PATH=" + node.Path(t), "HOME=" + dir, "NERDCTL_TOML=/dev/null"}
		return cmd
	}
	nerdctl := func(args ...string) *harness.Result {
		t.Helper()
		return harness.Execute(t, command(args...))
	}
	run := func(options ...string) []string {
		return append([]string{"run", "--runtime", harness.Runtime, "--platform", "wasi/wasm", "--pull", "never"}, options...)
	}

	nerdctl(append(run("--rm", harness.Guests), "/box.wasm", "echo", "hi")...).Is(0, "hi\n")
	nerdctl(append(run("--rm", harness.Guests), "/box.wasm", "exit", "42")...).Exits(42)

	nerdctl(append(run("-d", "--name", "web", "-p", "127.0.0.1:18080:8080", "--annotation", harness.Runtime+"/listen=tcp:8080", harness.Guests),
		"/box.wasm", "echo", "begun", ",", "serve", "3", "1000")...).Exits(0)
	harness.Eventually(t, "the log has its line", func() bool { return nerdctl("logs", "web").Stdout == "begun\n" })
	if err := echo("127.0.0.1:18080"); err != nil {
		t.Error(err)
	}
	nerdctl("exec", "web", "/box.wasm", "echo", "beside").Is(0, "beside\n")
	harness.OnTerminal(t, command("exec", "-it", "web", "/box.wasm", "tty")).Ends().Exits(0).Prints("0 is a tty")
	nerdctl("ps", "--format", "{{.Names}} {{.Status}}").Exits(0).Prints("web Up")
	nerdctl("stop", "web").Exits(0)
	if got := strings.TrimSpace(nerdctl("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web").Stdout); got != "exited 143" {
		t.Errorf("after stop the container is %q", got)
	}
	nerdctl("rm", "web").Exits(0)
	nerdctl("ps", "-aq").Is(0, "")
	nerdctl("network", "prune", "-f").Exits(0)
}

// echo sends a line to a server that echoes it.
func echo(address string) error {
	conn, err := net.DialTimeout("tcp", address, harness.Patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(harness.Patience))
	fmt.Fprintln(conn, "ping")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "ping\n" {
		err = fmt.Errorf("the server answers %q", line)
	}
	return err
}
