// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// absence is one way in which dockerd and its containerd go.
type absence struct {
	signal          syscall.Signal
	containerdFirst bool
}

// absences are all of them.
var absences = []absence{
	{unix.SIGTERM, false}, {unix.SIGTERM, true}, {unix.SIGKILL, false}, {unix.SIGKILL, true},
}

func (a absence) String() string {
	if a.containerdFirst {
		return fmt.Sprintf("%v, containerd first", a.signal)
	}
	return fmt.Sprintf("%v, dockerd first", a.signal)
}

// begin ends both.
func (a absence) begin(e *engine.Engine) {
	if a.containerdFirst {
		e.Node.End(a.signal)
	}
	e.End(a.signal)
	if !a.containerdFirst {
		e.Node.End(a.signal)
	}
}

// end has both back; dockerd needs containerd.
func (a absence) end(t *testing.T, e *engine.Engine) {
	t.Helper()
	e.Node.Start(t)
	e.Start(t)
}

// runtimes has, by kind, the options and the image of docker run: the shim's
// and, as the oracle, runc's.
var runtimes = map[string][]string{
	"wasm":  {"--runtime", engine.Runtime, "--platform", "wasi/wasm", engine.Box},
	"linux": {engine.LinuxBox},
}

// box runs box in the background, as NAME-wasm or NAME-linux; options end
// where the first argument is.
func box(t *testing.T, e *engine.Engine, name, kind, options string, args ...string) string {
	t.Helper()
	name += "-" + kind
	all := append([]string{"run", "-d", "--name", name}, strings.Fields(options)...)
	e.Docker(t, append(append(all, runtimes[kind]...), args...)...).Exits(0)
	return name
}

// inspect is what docker inspect has of a container.
func inspect(t *testing.T, e *engine.Engine, name, format string) string {
	t.Helper()
	return e.Ask(t, "inspect", "-f", format, name)
}

// pid is a container's process.
func pid(t *testing.T, e *engine.Engine, name string) int {
	t.Helper()
	n, err := strconv.Atoi(inspect(t, e, name, "{{.State.Pid}}"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// alive says that a process runs.
func alive(pid int) bool { return unix.Kill(pid, 0) == nil }

// counted is the number after the last that a ticking container has logged.
// They must be 0, 1, 2 …, none twice, with no more than so many gaps: a dockerd
// that ends loses what it has read and not yet written, of runc's containers too.
func counted(t *testing.T, e *engine.Engine, name string, gaps int) (next int) {
	t.Helper()
	for _, line := range strings.Fields(e.Ask(t, "logs", name)) {
		n, err := strconv.Atoi(line)
		if n > next {
			gaps--
		}
		if err != nil || n < next || gaps < 0 {
			t.Fatalf("%s: %q in the log where %d was due", name, line, next)
		}
		next = n + 1
	}
	return next
}

// TestLiveRestore takes dockerd and its containerd away from containers that
// go on: they, their logs, their published ports; and, once both are back,
// their health checks and restart policies.
func TestLiveRestore(t *testing.T) {
	e := engine.New(t, engine.WithConfig("live-restore", true))
	e.LoadAll(t)
	listens(t, e, "server", "-p 18301:7000", "0.0.0.0:7000")
	pids := map[string]int{"server": pid(t, e, "server")}
	for kind := range runtimes {
		for _, name := range []string{
			box(t, e, "ticks", kind, "", "tick", "20"),
			box(t, e, "again", kind, "--restart always", "tick", "20"),
		} {
			pids[name] = pid(t, e, name)
		}
	}
	e.Build(t, map[string]string{"Dockerfile": "FROM " + engine.Box + `
HEALTHCHECK --interval=200ms CMD ["/box", "true"]
`}, "--platform", "wasi/wasm", "-t", "healthy").Exits(0)
	e.Docker(t, "run", "-d", "--name", "healthy", "--runtime", engine.Runtime, "--platform", "wasi/wasm",
		"healthy", "sleep", "1000000").Exits(0)
	pids["healthy"] = pid(t, e, "healthy")
	for ends, away := range absences {
		followed := map[string]*exec.Cmd{}
		for kind := range runtimes {
			followed[kind] = follow(t, e, "ticks-"+kind, counted(t, e, "ticks-"+kind, ends))
		}
		// On runc the status of one that ends meanwhile is lost (255).
		dying := map[string]int{"ended-wasm": pid(t, e, box(t, e, "ended", "wasm", "", "sleep", "1000000"))}
		for kind := range runtimes {
			name := box(t, e, "revived", kind, "--restart always", "sleep", "1000000")
			dying[name] = pid(t, e, name)
		}
		away.begin(e)
		for name, pid := range pids {
			if !alive(pid) {
				t.Errorf("%v: %s did not go on", away, name)
			}
		}
		// docker-proxy, which serves the loopback, went with dockerd.
		if err := echo("tcp", room.Bridge+":18301", "nobody at home"); err != nil {
			t.Errorf("%v: the published port while dockerd is away: %v", away, err)
		}
		for kind, pid := range dying {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Errorf("%v: kill %s: %v", away, kind, err)
			}
		}
		away.end(t, e)

		if err := echo("tcp", "127.0.0.1:18301", "back"); err != nil {
			t.Errorf("%v: the published port: %v", away, err)
		}
		for name, want := range pids {
			if got := pid(t, e, name); got != want {
				t.Errorf("%v: %s had pid %d and has %d", away, name, want, got)
			}
		}
		e.Docker(t, "wait", "ended-wasm").Is(0, "137\n")
		e.Docker(t, "rm", "ended-wasm").Exits(0)
		checkedAgain(t, e, "healthy")
		for kind := range runtimes {
			// docker logs -f ends with dockerd, by status 1 if that was killed.
			_ = followed[kind].Wait()
			again := follow(t, e, "ticks-"+kind, counted(t, e, "ticks-"+kind, ends+1))
			_, _ = again.Process.Kill(), again.Wait()
			pids["again-"+kind] = comesBack(t, e, "again-"+kind)
			// What shall always run and died meanwhile runs again.
			runsAgain(t, e, "revived-"+kind, dying["revived-"+kind])
			e.Docker(t, "rm", "-f", "revived-"+kind).Exits(0)
		}
	}
}

// checkedAgain waits until one more health check of a container succeeded.
func checkedAgain(t *testing.T, e *engine.Engine, name string) {
	t.Helper()
	const last = "{{.State.Health.Status}} {{.State.Health.Log}}"
	seen := inspect(t, e, name, last)
	harness.Eventually(t, name+" is found healthy once more", func() bool {
		now := inspect(t, e, name, last)
		return now != seen && strings.HasPrefix(now, "healthy")
	})
}

// comesBack kills a container's process and waits for the next one.
func comesBack(t *testing.T, e *engine.Engine, name string) (now int) {
	t.Helper()
	before := pid(t, e, name)
	if err := unix.Kill(before, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	return runsAgain(t, e, name, before)
}

// runsAgain waits for the process of a container after one that has gone.
func runsAgain(t *testing.T, e *engine.Engine, name string, before int) (now int) {
	t.Helper()
	harness.Eventually(t, name+" runs again", func() bool {
		now = pid(t, e, name)
		return now != 0 && now != before
	})
	if !alive(now) {
		t.Errorf("%s shall have pid %d, which is not alive", name, now)
	}
	return now
}

// follow runs docker logs -f until a ticking container has logged more than n
// numbers.
func follow(t *testing.T, e *engine.Engine, name string, n int) *exec.Cmd {
	t.Helper()
	cmd, out := e.ShellCommand(t, "/", "exec docker logs -f "+name), &harness.Output{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	harness.Eventually(t, "the log of "+name+" is followed", func() bool {
		return strings.Contains(out.String(), fmt.Sprintf("\n%d\n", n))
	})
	return cmd
}

// TestRestart has dockerd and its containerd end and start again without
// live-restore: what ran has ended with its status, and what shall always run
// runs again.
func TestRestart(t *testing.T) {
	e := engine.New(t)
	e.LoadAll(t)
	// As process 1 the Linux program does not see SIGTERM.
	statuses := map[string]string{"wasm": "exited 143", "linux": "exited 137"}
	for _, away := range absences {
		before := map[string]int{}
		for kind := range runtimes {
			box(t, e, "once", kind, "--stop-timeout 1", "sleep", "1000000")
			before[kind] = pid(t, e, box(t, e, "again", kind, "--stop-timeout 1 --restart always", "sleep", "1000000"))
		}
		away.begin(e)
		away.end(t, e)
		for kind, want := range statuses {
			if got := inspect(t, e, "once-"+kind, "{{.State.Status}} {{.State.ExitCode}}"); got != want {
				t.Errorf("%v: once-%s %s, want %s", away, kind, got, want)
			}
			runsAgain(t, e, "again-"+kind, before[kind])
		}
		e.Remove(t)
	}
}
