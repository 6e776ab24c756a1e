// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgroup2

package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// soon is how soon a signal has done its work on an emulated processor.
const soon = 20 * time.Second

func TestRun(t *testing.T) {
	both(t, func(t *testing.T, d driver) {
		d.guest(t, "hello-c").Run().Is(0, "hello from C\n")
		d.guest(t, "box", "exit", "42").Run().Is(42, "")
		d.guest(t, "trap").Run().Is(134, "").Complains("unreachable")

		task := d.guest(t, "box", "wait").Interactive().Create()
		if got, want := cgroupOf(t, task.Pid()), d.dir(task.ID); got != want {
			t.Errorf("created in %s, want %s", got, want)
		}
		task.Start()
		if got, want := cgroupOf(t, task.Pid()), d.dir(task.ID); got != want {
			t.Errorf("runs in %s, want %s", got, want)
		}
		task.CloseStdin()
		task.Wait().Exits(0)
		task.Delete()
		gone(t, d, task.ID)
	})
}

func TestExec(t *testing.T) {
	both(t, func(t *testing.T, d driver) {
		task := d.guest(t, "box", "wait").Interactive().Start()
		task.Exec("box", "answer", ",", "exit", "3").Stdin(strings.NewReader("a line\n")).Run().Is(3, "got a line\n")
		exec := task.Exec("box", "echo", "up", ",", "spin").Start()
		exec.Expect("up")
		if got, want := cgroupOf(t, exec.Pid()), d.dir(task.ID); got != want {
			t.Errorf("runs in %s, want %s", got, want)
		}
		if pids := task.Pids(); len(pids) != 2 {
			t.Errorf("pids %v, want two", pids)
		}
		task.CloseStdin()
		task.Wait().Exits(0)
		exec.Wait().Exits(137)
		exec.Delete()
		task.Delete()
	})
}

func TestTerminal(t *testing.T) {
	task := systemd.guest(t, "box", "tty", ",", "answer").Terminal().Interactive().Start()
	task.Expect("2 is a tty")
	task.Resize(132, 50)
	task.Type("hello\n")
	task.Expect("got hello")
	task.Type("\x03")
	task.WaitFor(soon).Exits(130)
	task.Delete()
}

func TestStats(t *testing.T) {
	both(t, func(t *testing.T, d driver) {
		task := d.guest(t, "box", "echo", "up", ",", "spin").Memory(64 << 20).Start()
		task.Expect("up")
		first := task.Stats()
		if first.Version != 2 || first.CPU == 0 || first.Memory == 0 || first.Memory > 64<<20 || first.Limit != 64<<20 || first.Pids < 2 {
			t.Errorf("stats %+v", first)
		}
		harness.Eventually(t, "a spinning guest takes CPU time", func() bool {
			return task.Stats().CPU > first.CPU+50*time.Millisecond
		})
		task.Kill(unix.SIGKILL)
		task.Wait().Exits(137)
		task.Delete()
	})
}

func TestUpdate(t *testing.T) {
	both(t, func(t *testing.T, d driver) {
		task := d.guest(t, "box", "echo", "up", ",", "wait").Memory(64 << 20).Interactive().Start()
		task.Expect("up")
		limits := func(want map[string]string) {
			t.Helper()
			for name, value := range want {
				if got := d.file(t, task.ID, name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		}
		limits(map[string]string{"memory.max": "67108864", "cpu.max": "max 100000"})
		task.Update(&specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: at[int64](96 << 20)},
			CPU:    &specs.LinuxCPU{Quota: at[int64](50000), Period: at[uint64](100000), Shares: at[uint64](2048)},
			Pids:   &specs.LinuxPids{Limit: at[int64](40)},
		})
		changed := map[string]string{"memory.max": "100663296", "cpu.max": "50000 100000", "pids.max": "40"}
		limits(changed)
		if weight := d.file(t, task.ID, "cpu.weight"); weight == "100" || weight == "" {
			t.Errorf("cpu.weight is %q after an update of the shares", weight)
		}
		if d.name == systemd.name {
			// What systemd does not know it would undo at its next reload.
			run(t, "systemctl", "daemon-reload")
			limits(changed)
			shown := run(t, "systemctl", "show", scope(task.ID), "-p", "MemoryMax", "-p", "TasksMax", "-p", "CPUQuotaPerSecUSec")
			for _, want := range []string{"MemoryMax=100663296", "TasksMax=40", "CPUQuotaPerSecUSec=500ms"} {
				if !strings.Contains(shown, want) {
					t.Errorf("systemd says %q, want %q in it", shown, want)
				}
			}
		}
		task.CloseStdin()
		task.Wait().Exits(0)
		task.Delete()
	})
}

// A file system in memory that is filled is the kernel's to end; a guest that
// asks for more memory is told no.
func TestOOM(t *testing.T) {
	both(t, func(t *testing.T, d driver) {
		const limit = 48 << 20
		d.guest(t, "box", "grow", "200", ",", "echo", "alive").Memory(limit).Run().Exits(0).Prints("refused at", "alive")

		events := harness.Shared(t).Events(t)
		task := d.guest(t, "box", "fill", "/memory/file", "200").Memory(limit).
			Spec(func(s *specs.Spec) { s.Linux.Resources.Memory.Swap = at[int64](limit) }).
			Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/memory"}).Start()
		task.Wait().Is(137, "")
		task.Delete()
		harness.Eventually(t, "the OOM is told", func() bool {
			return strings.Contains(strings.Join(events.Of(task.ID), ","), "oom")
		})
		gone(t, d, task.ID)
	})
}

func TestPause(t *testing.T) {
	both(t, func(t *testing.T, d driver) {
		task := d.guest(t, "box", "echo", "up", ",", "spin").Start()
		task.Expect("up")
		task.Pause()
		if status := task.Status().Status; status != client.Paused {
			t.Errorf("status %s", status)
		}
		if frozen := d.file(t, task.ID, "cgroup.events"); !strings.Contains(frozen, "frozen 1") {
			t.Errorf("cgroup.events of a paused container: %q", frozen)
		}
		before := task.Stats().CPU
		time.Sleep(200 * time.Millisecond)
		if after := task.Stats().CPU; after-before > 20*time.Millisecond {
			t.Errorf("a paused guest took %s of CPU time", after-before)
		}
		task.Exec("box", "true").Refused("paused")
		task.Resume()
		harness.Eventually(t, "the guest goes on", func() bool { return task.Stats().CPU > before+50*time.Millisecond })
		task.Pause()
		task.Kill(unix.SIGKILL)
		task.WaitFor(soon).Exits(137)
		task.Delete()
	})
}

func TestStop(t *testing.T) {
	both(t, func(t *testing.T, d driver) {
		for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
			task := d.guest(t, "box", "echo", "up", ",", "spin").Start()
			task.Expect("up")
			task.Kill(signal)
			task.WaitFor(soon).Exits(128 + int(signal))
			task.Delete()
			gone(t, d, task.ID)
		}
	})
}

// systemd stops a scope of itself at a shutdown, or when it is told to.
func TestStopOfTheScope(t *testing.T) {
	task := systemd.guest(t, "box", "echo", "up", ",", "spin").Start()
	task.Expect("up")
	run(t, "systemctl", "kill", "--signal=KILL", scope(task.ID))
	task.WaitFor(soon).Exits(137)
	task.Delete()
	gone(t, systemd, task.ID)
}

// A user namespace of its own, by both drivers, and by runc as the oracle.
func TestUserNamespace(t *testing.T) {
	const first = 200000
	mapping := specs.LinuxIDMapping{ContainerID: 0, HostID: first, Size: 65536}
	folder, err := os.MkdirTemp(dir, "shared")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	owner := func(name string) uint32 {
		t.Helper()
		var s unix.Stat_t
		if err := unix.Stat(filepath.Join(folder, name), &s); err != nil {
			t.Error(err)
		}
		return s.Uid
	}
	both(t, func(t *testing.T, d driver) {
		task := d.guest(t, "box", "write", "/data/"+d.name, "mine", ",", "echo", "up", ",", "wait").
			UserNamespace(mapping).User(1000, 1000).Bind(folder, "/data", "rw").Interactive().Start()
		task.Expect("up")
		if got := owner(d.name); got != first+1000 {
			t.Errorf("the guest's file belongs to %d, want %d", got, first+1000)
		}
		if same(t, "/proc/self/ns/user", fmt.Sprintf("/proc/%d/ns/user", task.Pid())) {
			t.Error("the guest is in the host's user namespace")
		}
		uid, _, _ := strings.Cut(status(t, task.Pid(), "Uid"), "\t")
		if uid != fmt.Sprint(first+1000) {
			t.Errorf("the sandbox runs as %s, want %d", uid, first+1000)
		}
		task.Exec("box", "cat", "/data/"+d.name).Run().Is(0, "mine")
		task.CloseStdin()
		task.Wait().Exits(0)
		task.Delete()
	})
	harness.Shared(t).Linux(t, "sh", "-c", "echo mine >/data/runc").
		UserNamespace(mapping).User(1000, 1000).Bind(folder, "/data", "rw").Run().Is(0, "")
	if got := owner("runc"); got != first+1000 {
		t.Errorf("the file of runc's container belongs to %d", got)
	}
}

func TestConfined(t *testing.T) {
	const profile = "wazero-confined"
	under := func(name string) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Process.ApparmorProfile = name }
	}
	systemd.guest(t, "hello-c").Spec(under(profile)).Refused(profile) // is not loaded yet
	run(t, "apparmor_parser", "--replace", "--skip-cache", "testdata/confined.apparmor")

	systemd.guest(t, "box", "cat", "/etc/there").Run().Is(0, "an absolute path\n")
	systemd.guest(t, "box", "cat", "/etc/there").Spec(under("unconfined")).Run().Is(0, "an absolute path\n")
	systemd.guest(t, "box", "cat", "/etc/there").Spec(under(profile)).Run().Is(1, "").Complains("/etc/there")

	task := systemd.guest(t, "box", "cat", "/work/here", ",", "wait").Spec(under(profile)).Interactive().Start()
	task.Expect("a relative path\n")
	confined(t, task.Pid(), profile)
	exec := task.Exec("box", "echo", "up", ",", "wait").Interactive().Start()
	exec.Expect("up")
	confined(t, exec.Pid(), profile)
	exec.Kill(unix.SIGTERM)
	exec.Wait().Exits(143)
	exec.Delete()
	task.Pause()
	task.Resume()
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
}

// confined wants every thread of a process under a profile that is enforced,
// and privileges dropped all the same.
func confined(t *testing.T, pid int, profile string) {
	t.Helper()
	labels, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/attr/apparmor/current", pid))
	if err != nil || len(labels) == 0 {
		t.Fatalf("threads of %d: %v, %v", pid, labels, err)
	}
	for _, label := range labels {
		if got, _ := os.ReadFile(label); strings.TrimSpace(string(got)) != profile+" (enforce)" {
			t.Errorf("%s: %q, want %q", label, got, profile)
		}
	}
	for field, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2"} {
		if got := status(t, pid, field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
}

// status is a field of /proc/PID/status.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Error(err)
	}
	_, rest, _ := strings.Cut("\n"+string(b), "\n"+field+":\t")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// cgroupOf is the folder of a process's cgroup.
func cgroupOf(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Error(err)
	}
	return filepath.Join(cgroupRoot, strings.TrimPrefix(strings.TrimSpace(string(b)), "0::"))
}

// gone wants nothing left of a container's cgroup, nor of its scope.
func gone(t *testing.T, d driver, id string) {
	t.Helper()
	harness.Eventually(t, "the cgroup is removed", func() bool {
		_, err := os.Stat(d.dir(id))
		return os.IsNotExist(err)
	})
	if d.name == systemd.name {
		harness.Eventually(t, "systemd has forgotten the scope", func() bool {
			return !strings.Contains(run(t, "systemctl", "list-units", "--all", "--full", "--plain", "--no-legend"), scope(id))
		})
	}
}

func same(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.Readlink(a)
	if err != nil {
		t.Error(err)
	}
	other, err := os.Readlink(b)
	if err != nil {
		t.Error(err)
	}
	return one == other
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", program, args, err, out)
	}
	return string(out)
}

func at[T any](value T) *T { return &value }
