// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	stats1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	stats2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/systemd"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, parents := range []string{root + "/*/wazero-shim-test", root + "/wazero-shim-test"} {
		dirs, _ := filepath.Glob(parents)
		for _, dir := range dirs {
			unix.Rmdir(dir)
		}
	}
	os.Exit(code)
}

func ptr[T any](v T) *T { return &v }

// each runs a test with every driver that this host has.
func each(t *testing.T, f func(t *testing.T, c config.Cgroup)) {
	if os.Getuid() != 0 {
		t.Fatal("cgroups are root's: run the tests as root")
	}
	name := fmt.Sprint(os.Getpid(), "-", t.Name())
	t.Run("cgroupfs", func(t *testing.T) { f(t, config.Cgroup{Path: "/wazero-shim-test/" + name}) })
	if systemd.IsRunningSystemd() {
		t.Run("systemd", func(t *testing.T) {
			f(t, config.Cgroup{Slice: "system.slice", Prefix: "wazero-shim-test", Name: name})
		})
	}
}

// newCgroup makes a cgroup with limits for the test.
func newCgroup(t *testing.T, c config.Cgroup, r *specs.LinuxResources) *Manager {
	t.Helper()
	m := describe(t, c, r)
	if _, err := m.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// describe is newCgroup before Create; nothing of it may be left in the end.
func describe(t *testing.T, c config.Cgroup, r *specs.LinuxResources) *Manager {
	t.Helper()
	c.Resources = r
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
		for controller, dir := range m.paths {
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s: %s is left behind: %v", controller, dir, err)
			}
		}
		if c.Systemd() {
			out, _ := exec.Command("systemctl", "show", "-p", "LoadState,ActiveState", m.name()).Output()
			if !strings.Contains(string(out), "ActiveState=inactive") {
				t.Errorf("systemd's unit %s: %q", m.name(), out)
			}
		}
	})
	return m
}

// start runs a shell command that is born in the cgroup.
func start(t *testing.T, m *Manager, script string) *exec.Cmd {
	t.Helper()
	b, err := m.Birth()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var join strings.Builder
	cmd := exec.Command("/bin/sh", "-c", "")
	if b.Dir != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(b.Dir.Fd())}
	}
	for i, f := range b.Join {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		fmt.Fprintf(&join, "echo 0 > /proc/self/fd/%d || exit 99; ", 3+i)
	}
	ready, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	cmd.Args[2] = join.String() + "echo ready; exec >/dev/null; " + script
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if n, err := ready.Read(make([]byte, 8)); n == 0 {
		t.Fatalf("the process did not start: %v", err)
	}
	return cmd
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain: " + what)
		}
	}
}

// file is what one of the cgroup's files says, by its v1 or its v2 name.
func file(t *testing.T, m *Manager, v1, v2 string) string {
	t.Helper()
	path := filepath.Join(m.paths[""], v2)
	if !m.unified {
		controller, _, _ := strings.Cut(v1, ".")
		path = filepath.Join(m.paths[controller], v1)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestBornInEveryHierarchy(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, nil)
		cmd := start(t, m, "exec sleep 1000")
		in, err := cgroups.ParseCgroupFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for controller := range m.paths {
			want := c.Path
			if c.Systemd() {
				want = "/" + c.Slice + "/" + m.name()
			}
			if got := in[controller]; got != want {
				t.Errorf("controller %q: the process is in %q, want %q", controller, got, want)
			}
		}
		// A scope's holder is none of the container's processes.
		if pids, err := m.Pids(); err != nil || len(pids) != 1 || pids[0] != cmd.Process.Pid {
			t.Errorf("Pids() = %v, %v, want only %d", pids, err, cmd.Process.Pid)
		}
	})
}

func TestLimits(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, &specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20), Swap: ptr[int64](64 << 20)},
			CPU:    &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](20000), Period: ptr[uint64](50000)},
			Pids:   &specs.LinuxPids{Limit: ptr[int64](20)},
		})
		check := func(v1, v2, want1, want2 string) {
			t.Helper()
			want := want1
			if m.unified {
				want = want2
			}
			if got := file(t, m, v1, v2); got != want {
				t.Errorf("%s / %s says %q, want %q", v1, v2, got, want)
			}
		}
		check("memory.limit_in_bytes", "memory.max", "67108864", "67108864")
		check("pids.max", "pids.max", "20", "20")
		check("cpu.shares", "cpu.weight", "512", "59")
		check("cpu.cfs_quota_us", "cpu.max", "20000", "20000 50000")
		if limit, err := m.MemoryLimit(); err != nil || limit != 64<<20 {
			t.Errorf("MemoryLimit() = %d, %v", limit, err)
		}

		// A part of the limits, upwards: memory and memory with swap must move in
		// the right order.
		if _, err := m.Update(&specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: ptr[int64](256 << 20), Swap: ptr[int64](256 << 20)},
		}); err != nil {
			t.Fatal(err)
		}
		check("memory.limit_in_bytes", "memory.max", "268435456", "268435456")
		check("pids.max", "pids.max", "20", "20")
		// And downwards again, with dockerd's zeros for what it leaves alone.
		if _, err := m.Update(&specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: ptr[int64](32 << 20), Swap: ptr[int64](32 << 20), Reservation: ptr[int64](0)},
			CPU:    &specs.LinuxCPU{Shares: ptr[uint64](0), Quota: ptr[int64](10000), Period: ptr[uint64](0)},
			Pids:   &specs.LinuxPids{Limit: ptr[int64](-1)},
		}); err != nil {
			t.Fatal(err)
		}
		check("memory.limit_in_bytes", "memory.max", "33554432", "33554432")
		check("cpu.cfs_quota_us", "cpu.max", "10000", "10000 50000")
		check("cpu.shares", "cpu.weight", "512", "59")
		check("pids.max", "pids.max", "max", "max")
		// Unlimited memory.
		if _, err := m.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](-1)}}); err != nil {
			t.Fatal(err)
		}
		if limit, err := m.MemoryLimit(); err != nil || limit != 0 {
			t.Errorf("MemoryLimit() = %d, %v, want none", limit, err)
		}
	})
}

func TestFewPidsAreRaisedWithAWarning(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := describe(t, c, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](2)}})
		warnings, err := m.Create(t.Context())
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "raised to 8") {
			t.Fatalf("Create() = %q, %v", warnings, err)
		}
		if got := file(t, m, "pids.max", "pids.max"); got != "8" {
			t.Errorf("pids.max is %s", got)
		}
		warnings, err = m.Update(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](7)}})
		if err != nil || len(warnings) != 1 {
			t.Fatalf("Update() = %q, %v", warnings, err)
		}
	})
}

func TestARefusedUpdateLeavesTheFormerLimits(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](20)}})
		_, err := m.Update(&specs.LinuxResources{
			Pids: &specs.LinuxPids{Limit: ptr[int64](30)},
			CPU:  &specs.LinuxCPU{Cpus: "4095"},
		})
		if err == nil {
			t.Fatal("cpus that do not exist were accepted")
		}
		if got := file(t, m, "pids.max", "pids.max"); got != "20" {
			t.Errorf("pids.max is %s after a refused update, want 20", got)
		}
	})
}

func TestFreezeStopsASpinningProcess(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, nil)
		start(t, m, "while :; do :; done")
		used := func() uint64 {
			s, err := m.Stats()
			if err != nil {
				t.Fatal(err)
			}
			switch s := s.(type) {
			case *stats1.Metrics:
				return s.CPU.Usage.Total
			case *stats2.Metrics:
				return s.CPU.UsageUsec * 1000
			}
			panic(fmt.Sprintf("counters of type %T", s))
		}
		before := used()
		eventually(t, "the process uses its processor", func() bool { return used() > before+uint64(time.Millisecond) })
		if err := m.Freeze(); err != nil {
			t.Fatal(err)
		}
		frozen := used()
		time.Sleep(50 * time.Millisecond) // what would be used meanwhile is what is measured
		if got := used(); got > frozen+uint64(time.Millisecond) {
			t.Errorf("a frozen process used %v of processor time", time.Duration(got-frozen))
		}
		if err := m.Thaw(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the thawed process goes on", func() bool { return used() > frozen+uint64(time.Millisecond) })
	})
}

func TestKillReachesFrozenProcesses(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, nil)
		cmd := start(t, m, "(while :; do :; done) & (sleep 1000; :) & while :; do :; done")
		eventually(t, "all of its processes run", func() bool {
			pids, err := m.Pids()
			return err == nil && len(pids) == 4
		})
		if err := m.Freeze(); err != nil {
			t.Fatal(err)
		}
		if err := m.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Errorf("the process ended with %v, want SIGKILL", err)
		}
		if pids, err := m.Pids(); err != nil || len(pids) != 0 {
			t.Errorf("Pids() = %v, %v after Kill", pids, err)
		}
	})
}

func TestDestroyByRecordAndTwice(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, nil)
		start(t, m, "while :; do sleep 1000 & wait; done")
		if err := m.Freeze(); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(m.Record())
		if err != nil {
			t.Fatal(err)
		}
		var r Record
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		other, err := Load(r)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := other.Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if pids, err := m.Pids(); err != nil || len(pids) != 0 {
			t.Errorf("Pids() = %v, %v after Destroy", pids, err)
		}
		if err := m.Kill(t.Context()); err != nil {
			t.Errorf("Kill after Destroy: %v", err)
		}
		if m.OOMKills() != 0 {
			t.Error("kills counted in a cgroup that is gone")
		}
		if _, err := Load(Record{}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("Load of an empty record: %v", err)
		}
	})
}

func TestOOMKillIsCounted(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		limits := &specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: ptr[int64](8 << 20), Swap: ptr[int64](8 << 20)},
		}
		if cgroups.IsCgroup2UnifiedMode() {
			limits.Unified = map[string]string{"memory.oom.group": "1"} // as kubelet has it
		}
		m := newCgroup(t, c, limits)
		if n := m.OOMKills(); n != 0 {
			t.Fatalf("OOMKills() = %d at first", n)
		}
		cmd := start(t, m, `a=x; while :; do a="$a$a"; done`)
		cmd.Wait()
		// The counters outlive the processes, for as long as somebody may ask.
		looks := 1
		if c.Systemd() {
			looks = 50
		}
		for range looks {
			s, err := m.Stats()
			if err != nil {
				t.Fatal(err)
			}
			var kills uint64
			switch s := s.(type) {
			case *stats1.Metrics:
				kills = s.MemoryOomControl.GetOomKill()
			case *stats2.Metrics:
				kills = s.MemoryEvents.GetOomKill()
			}
			if kills == 0 || m.OOMKills() == 0 {
				t.Fatalf("the counters say %d kills, OOMKills %d", kills, m.OOMKills())
			}
			time.Sleep(10 * time.Millisecond) // systemd would have removed the scope meanwhile
		}
	})
}

func TestStats(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, &specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20)},
			Pids:   &specs.LinuxPids{Limit: ptr[int64](20)},
		})
		start(t, m, "while :; do :; done")
		var s any
		eventually(t, "there is something to count", func() bool {
			var err error
			if s, err = m.Stats(); err != nil {
				t.Fatal(err)
			}
			switch s := s.(type) {
			case *stats1.Metrics:
				return s.CPU.Usage.Total > 0 && s.Memory.Usage.Usage > 0
			case *stats2.Metrics:
				return s.CPU.UsageUsec > 0 && s.Memory.Usage > 0
			}
			return false
		})
		switch s := s.(type) {
		case *stats1.Metrics:
			if s.CPU.Throttling == nil || s.Pids.Current != 1 || s.Pids.Limit != 20 || s.Memory.Usage.Limit != 64<<20 || s.Blkio == nil {
				t.Errorf("counters %v", s)
			}
		case *stats2.Metrics:
			if s.Pids.Current != 1 || s.Pids.Limit != 20 || s.Memory.UsageLimit != 64<<20 || s.Io == nil {
				t.Errorf("counters %v", s)
			}
		}
	})
}

func TestDevicesAreKeptFromTheContainer(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
			{Allow: false, Access: "rwm"},
			{Allow: true, Type: "c", Major: ptr[int64](10), Minor: ptr[int64](229), Access: "r"},
		}})
		dir := t.TempDir()
		kmsg := filepath.Join(dir, "kmsg")
		if err := unix.Mknod(kmsg, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 11))); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out")
		cmd := start(t, m, fmt.Sprintf(`
			{ echo x >/dev/null && head -c1 /dev/urandom >/dev/null && echo allowed; } >%[2]s 2>&1
			(: <%[1]s) 2>/dev/null && echo kmsg opened >>%[2]s || echo kmsg refused >>%[2]s
			mknod %[1]s2 c 1 11 && echo made >>%[2]s`, kmsg, out))
		cmd.Wait()
		got, err := os.ReadFile(out)
		if want := "allowed\nkmsg refused\nmade\n"; err != nil || string(got) != want {
			t.Errorf("the container said %q, %v, want %q", got, err, want)
		}
	})
}

func TestCreateRefusals(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, nil)
		start(t, m, "exec sleep 1000")
		again, err := New(m.config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Create(t.Context()); !errdefs.IsAlreadyExists(err) {
			t.Errorf("Create in a cgroup with processes: %v", err)
		}
	})
	each(t, func(t *testing.T, c config.Cgroup) {
		bad := describe(t, c, &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "4095"}})
		if _, err := bad.Create(t.Context()); err == nil {
			t.Error("cpus that do not exist were accepted")
		}
		for _, dir := range bad.paths {
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is left behind: %v", dir, err)
			}
		}
	})
	for name, r := range map[string]*specs.LinuxResources{
		"device type":   {Devices: []specs.LinuxDeviceCgroup{{Type: "x", Access: "rwm"}}},
		"device access": {Devices: []specs.LinuxDeviceCgroup{{Type: "c", Access: "rwx"}}},
		"no access":     {Devices: []specs.LinuxDeviceCgroup{{Type: "c"}}},
	} {
		if _, err := New(config.Cgroup{Path: "/x", Resources: r}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !systemd.IsRunningSystemd() {
		if _, err := New(config.Cgroup{Slice: "system.slice", Prefix: "test", Name: "x"}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("a scope without systemd: %v", err)
		}
	}
}

// TestLimitsSurviveSystemdsReload: systemd knows the limits of a scope, or it
// would put its own in their place.
func TestLimitsSurviveSystemdsReload(t *testing.T) {
	each(t, func(t *testing.T, c config.Cgroup) {
		m := newCgroup(t, c, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](20)}})
		start(t, m, "exec sleep 1000")
		if _, err := m.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20)}}); err != nil {
			t.Fatal(err)
		}
		if c.Systemd() {
			if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if got := file(t, m, "pids.max", "pids.max"); got != "20" {
			t.Errorf("pids.max is %s", got)
		}
		if got := file(t, m, "memory.limit_in_bytes", "memory.max"); got != "67108864" {
			t.Errorf("the memory limit is %s", got)
		}
	})
}

// TestHolderIsSmall: it is in every container's account under systemd.
func TestHolderIsSmall(t *testing.T) {
	h, err := hold()
	if err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/", h.pid())
	eventually(t, "it sleeps", func() bool {
		stat, err := os.ReadFile(dir + "stat")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(stat), ") S ")
	})
	rollup, err := os.ReadFile(dir + "smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(rollup), "\nPss:")
	if pss, err := strconv.Atoi(strings.Fields(line)[0]); err != nil || pss > 64 {
		t.Errorf("it holds %d kB, %v", pss, err)
	}
	fds, err := os.ReadDir(dir + "fd")
	if err != nil || len(fds) != 0 {
		t.Errorf("it has %d descriptors, %v", len(fds), err)
	}
	h.release()
	if _, err := os.Stat(dir + "stat"); !os.IsNotExist(err) {
		t.Errorf("it lives on: %v", err)
	}
	var none *holder
	none.release()
}

func TestPathsCannotClimb(t *testing.T) {
	m, err := New(config.Cgroup{Path: "/../../../../tmp/../a/../../b"})
	if err != nil {
		t.Fatal(err)
	}
	for controller, dir := range m.paths {
		if !strings.HasPrefix(dir, root+"/") || !strings.HasSuffix(dir, "/b") {
			t.Errorf("controller %q: %s", controller, dir)
		}
	}
}

func BenchmarkBirth(b *testing.B) {
	m, err := New(config.Cgroup{Path: fmt.Sprint("/wazero-shim-test/", os.Getpid(), "-birth")})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Destroy(context.Background())
	if _, err := m.Create(context.Background()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		birth, err := m.Birth()
		if err != nil {
			b.Fatal(err)
		}
		birth.Close()
	}
}

func BenchmarkCreateDestroy(b *testing.B) {
	limits := &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
		Memory:  &specs.LinuxMemory{Limit: ptr[int64](64 << 20)},
		Pids:    &specs.LinuxPids{Limit: ptr[int64](100)},
	}
	for i := range b.N {
		m, err := New(config.Cgroup{Path: fmt.Sprint("/wazero-shim-test/", os.Getpid(), "-bench", i), Resources: limits})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Create(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := m.Destroy(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
