// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

func TestHello(t *testing.T) {
	b := newBox(t, "echo", "hello", "world")
	if status, out := b.run(); status != 0 || out != "hello world\n" {
		t.Errorf("status %d, stdout %q, stderr %q, log %s", status, out, b.stderr.all(t), b.log)
	}
}

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		args   string
		status uint32
	}{
		{"exit 0", 0}, {"exit 1", 1}, {"exit 42", 42}, {"exit 255", 255}, {"trap", 134},
	} {
		t.Run(tc.args, func(t *testing.T) {
			b := newBox(t, strings.Fields(tc.args)...)
			if status, _ := b.run(); status != tc.status {
				t.Errorf("status %d, want %d; log %s", status, tc.status, b.log)
			}
		})
	}
}

// TestSignals is the rule about signals, for a guest that spins, one that
// sleeps and one that reads.
func TestSignals(t *testing.T) {
	for _, guest := range []string{"spin", "sleep 100000", "wait"} {
		for sig, status := range map[unix.Signal]uint32{
			unix.SIGTERM: 143, unix.SIGINT: 130, unix.SIGHUP: 129, unix.SIGQUIT: 131, unix.SIGKILL: 137, unix.SIGUSR1: 138,
		} {
			t.Run(fmt.Sprintf("%s/%v", guest, sig), func(t *testing.T) {
				b := newBox(t, strings.Fields("echo up , "+guest)...)
				r, w, err := os.Pipe()
				must(t, err)
				defer w.Close()
				must(t, b.tryCreate(r))
				r.Close()
				must(t, b.init.Start(testContext(t)))
				eventually(t, "the guest runs", func() bool { return b.stdout.now() != "" })
				for _, harmless := range []unix.Signal{unix.SIGWINCH, unix.SIGCHLD, unix.SIGURG, unix.SIGCONT, unix.SIGTSTP} {
					must(t, b.init.Signal(harmless))
				}
				begin := time.Now()
				must(t, b.init.Signal(sig))
				if got := wait(t, b.init); got != status {
					t.Errorf("status %d, want %d", got, status)
				}
				if d := time.Since(begin); d > 5*time.Second { // a busy machine's second
					t.Errorf("it took %v", d)
				}
				if err := b.init.Signal(sig); !errdefs.IsNotFound(err) {
					t.Errorf("a signal after the end: %v", err)
				}
			})
		}
	}
}

func TestSignalBeforeStart(t *testing.T) {
	b := newBox(t, "true").create()
	must(t, b.init.Signal(unix.SIGKILL))
	if status := wait(t, b.init); status != 137 {
		t.Errorf("status %d", status)
	}
	if err := b.init.Start(testContext(t)); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("start after the end: %v", err)
	}
}

// TestKilledFromOutside: what the kernel says counts, also of a signal that a
// terminal or an administrator sends.
func TestKilledFromOutside(t *testing.T) {
	for sig, status := range map[unix.Signal]uint32{unix.SIGKILL: 137, unix.SIGTERM: 143, unix.SIGINT: 130, unix.SIGQUIT: 131, unix.SIGHUP: 129} {
		t.Run(sig.String(), func(t *testing.T) {
			b := newBox(t, "echo", "up", ",", "spin").start()
			eventually(t, "the guest runs", func() bool { return b.stdout.now() != "" })
			must(t, unix.Kill(b.init.Pid(), unix.SIGTSTP))
			must(t, unix.Kill(b.init.Pid(), sig))
			if got := wait(t, b.init); got != status {
				t.Errorf("status %d, want %d", got, status)
			}
		})
	}
}

func TestStop(t *testing.T) {
	b := newBox(t, "tick", "5").start()
	eventually(t, "it ticks", func() bool { return b.stdout.now() != "" })
	must(t, b.init.Signal(unix.SIGSTOP))
	eventually(t, "it is stopped", func() bool { return processState(b.init.Pid()) == "T" })
	must(t, b.init.Signal(unix.SIGCONT))
	eventually(t, "it goes on", func() bool { return processState(b.init.Pid()) != "T" })
}

// processState is the letter that ps shows.
func processState(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func TestPause(t *testing.T) {
	b := newBox(t, "spin").start()
	ctx := testContext(t)
	must(t, b.Pause(ctx))
	before := cpuTime(t, b.init.Pid())
	if _, _, err := b.exec(boxProcess("true")); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("exec in a paused container: %v", err)
	}
	time.Sleep(50 * time.Millisecond)
	if after := cpuTime(t, b.init.Pid()); after != before {
		t.Errorf("a paused guest spent %d ticks", after-before)
	}
	must(t, b.Resume(ctx))
	eventually(t, "it spins again", func() bool { return cpuTime(t, b.init.Pid()) > before })
	if status, _ := b.runExec(boxProcess("exit", "3")); status != 3 {
		t.Errorf("exec after resume: %d", status)
	}
	must(t, b.Pause(ctx))
	must(t, b.init.Signal(unix.SIGTERM))
	if status := wait(t, b.init); status != 143 {
		t.Errorf("killed while paused: status %d", status)
	}
}

func TestExecKilledWhilePaused(t *testing.T) {
	b := newBox(t, "spin").start()
	p, _, err := b.exec(boxProcess("spin"))
	must(t, err)
	ctx := testContext(t)
	must(t, p.Start(ctx))
	must(t, b.Pause(ctx))
	must(t, p.Signal(unix.SIGKILL))
	if status := wait(t, p); status != 137 {
		t.Errorf("status %d", status)
	}
	before := cpuTime(t, b.init.Pid())
	time.Sleep(50 * time.Millisecond)
	if after := cpuTime(t, b.init.Pid()); after != before {
		t.Errorf("the rest of the container runs: %d ticks", after-before)
	}
}

// TestDeletePaused: what is frozen ends, too.
func TestDeletePaused(t *testing.T) {
	b := newBox(t, "spin").start()
	must(t, b.Pause(testContext(t)))
	must(t, b.Delete(testContext(t)))
	must(t, b.Delete(testContext(t)))
	if status := wait(t, b.init); status != 137 {
		t.Errorf("status %d", status)
	}
}

// cpuTime of a process in ticks.
func cpuTime(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	var user, system int
	_, err = fmt.Sscan(f[11]+" "+f[12], &user, &system)
	must(t, err)
	return user + system
}

func TestExec(t *testing.T) {
	b := newBox(t, "spin").start()
	p := boxProcess("get", "X", ",", "write", "/tmp/f", "hi", ",", "cat", "f", ",", "exit", "7")
	p.Env, p.Cwd = []string{"X=of the exec"}, "/tmp"
	p.User = config.User{UID: 1000, GID: 1001, Groups: []uint32{5, 6}}
	if status, out := b.runExec(p); status != 7 || out != "of the exec\nhi\n" && out != "of the exec\nhi" {
		t.Errorf("status %d, output %q, log %s", status, out, b.log)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(b.config.Root.Path, "tmp/f"), &st))
	if st.Uid != 1000 || st.Gid != 1001 {
		t.Errorf("the file belongs to %d:%d", st.Uid, st.Gid)
	}
}

func TestExecMany(t *testing.T) {
	b := newBox(t, "spin").start()
	type result struct {
		status uint32
		out    string
	}
	results := make(chan result, 20)
	for i := range 20 {
		p, out, err := b.exec(boxProcess("echo", fmt.Sprint(i), ",", "exit", fmt.Sprint(i)))
		must(t, err)
		go func() {
			_ = p.Start(testContext(t))
			<-p.Done()
			<-out.done
			results <- result{p.Exit().Status, out.now()}
		}()
	}
	for range 20 {
		if r := <-results; fmt.Sprintf("%d\n", r.status) != r.out {
			t.Errorf("status %d, output %q", r.status, r.out)
		}
	}
	pids, err := b.Pids(testContext(t))
	if err != nil || len(pids) != 1 || pids[0] != b.init.Pid() {
		t.Errorf("processes %v (%v), init is %d", pids, err, b.init.Pid())
	}
}

func TestExecAfterEnd(t *testing.T) {
	b := newBox(t, "true").start()
	wait(t, b.init)
	if _, _, err := b.exec(boxProcess("true")); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("exec after the end: %v", err)
	}
}

// TestInitEndsExecs: the kernel ends what shares init's pid namespace.
func TestInitEndsExecs(t *testing.T) {
	b := newBox(t, "spin").start()
	p, _, err := b.exec(boxProcess("spin"))
	must(t, err)
	must(t, p.Start(testContext(t)))
	must(t, b.init.Signal(unix.SIGTERM))
	if status := wait(t, p); status != 137 {
		t.Errorf("status %d", status)
	}
}

func TestTimeouts(t *testing.T) {
	b := newBox(t, "sleep", "100000")
	b.config.Process.Timeout = 50 * time.Millisecond
	if status, _ := b.run(); status != 137 {
		t.Errorf("wall time: status %d", status)
	}
	if !strings.Contains(b.log.String(), "timeout of 50ms") {
		t.Errorf("the log has no word about it: %s", b.log)
	}
	b = newBox(t, "spin")
	b.config.Process.CPUTimeout = time.Second
	if status, _ := b.run(); status != 137 {
		t.Errorf("processor time: status %d", status)
	}
}

// TestOrphans: as pid 1 of a pid namespace that others share, a sandbox process
// leaves no zombies.
func TestOrphans(t *testing.T) {
	for _, kind := range []config.Kind{config.Pause, config.Wasm} {
		b := newBox(t, "spin")
		b.config.Process.Kind = kind
		b.start()
		pid := fmt.Sprint(b.init.Pid())
		out, err := exec.Command("nsenter", "-t", pid, "-p", "--", "sh", "-c", "sleep 0.05 >/dev/null 2>&1 & echo $!").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		eventually(t, "the orphan is reaped", func() bool {
			children, err := os.ReadFile(b.proc("task/" + pid + "/children"))
			must(t, err)
			return len(children) == 0
		})
	}
}

func TestPauseKind(t *testing.T) {
	b := newBox(t)
	b.config.Process = config.Process{Kind: config.Pause, Args: []string{"/pause"}, Cwd: "/", NoNewPrivileges: true}
	b.start()
	if status, out := b.runExec(boxProcess("echo", "beside")); status != 0 || out != "beside\n" {
		t.Errorf("exec beside a pause process: %d %q", status, out)
	}
	must(t, b.init.Signal(unix.SIGTERM))
	if status := wait(t, b.init); status != 143 {
		t.Errorf("status %d", status)
	}
}
