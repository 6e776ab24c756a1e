// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package privilege

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/fork"
)

// The test binary is the process that drops: with this variable set it takes a
// config.Process from it, drops, and reports on descriptor 3.
const play = "PRIVILEGE_TEST_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(play); part != "" {
		child(part)
	}
	os.Exit(m.Run())
}

// report is what a child says of itself.
type report struct {
	Error              string
	Dumpable, DeathSig int
}

func child(part string) {
	runtime.LockOSThread()
	var p config.Process
	out := os.NewFile(3, "report")
	say := func(r report) {
		b, _ := json.Marshal(r)
		out.Write(append(b, '\n'))
	}
	err := json.Unmarshal([]byte(part), &p)
	hold(8) // threads that exist before
	if err == nil {
		err = Drop(&p)
	}
	if err == nil {
		err = Limit(p.Rlimits)
	}
	if err != nil {
		say(report{Error: err.Error()})
		os.Exit(1)
	}
	hold(4) // and that come after
	var sig int32
	unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0)
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	say(report{Dumpable: dumpable, DeathSig: int(sig)})
	time.Sleep(time.Hour)
}

func hold(n int) {
	var started sync.WaitGroup
	for range n {
		started.Add(1)
		go func() {
			runtime.LockOSThread()
			started.Done()
			select {}
		}()
	}
	started.Wait()
}

// drop starts a process that drops to p. It returns the process, and what it
// said; it is killed when the test ends.
func drop(t *testing.T, p *config.Process) (*fork.Process, report) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("privileges are root's to drop: run the tests as root")
	}
	calls, err := Calls(p, false)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	proc, err := fork.Start(&fork.Spec{
		Calls: calls, Files: []*os.File{null, os.Stderr, os.Stderr, w}, Terminal: -1,
		Path: exe, Args: []string{"child"}, Env: []string{play + "=" + string(conf)},
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.PidfdSendSignal(int(proc.Pidfd.Fd()), unix.SIGKILL, nil, 0)
		unix.Waitid(unix.P_PIDFD, int(proc.Pidfd.Fd()), nil, unix.WEXITED, nil)
		proc.Pidfd.Close()
	})
	var said report
	if err := json.NewDecoder(r).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return proc, said
}

// status reads the status of each thread of a process.
func status(t *testing.T, pid int) []map[string]string {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) < 12 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	var all []map[string]string
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			t.Fatal(err)
		}
		fields := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.Join(strings.Fields(value), " ")
		}
		all = append(all, fields)
	}
	return all
}

func TestEveryThreadIsDropped(t *testing.T) {
	const (
		none  = "0000000000000000"
		bind  = uint64(1 << unix.CAP_NET_BIND_SERVICE)
		bound = "0000000000000400"
	)
	umask := uint32(0o077)
	for _, tt := range []struct {
		name string
		p    config.Process
		want map[string]string
	}{
		{"root without capabilities", config.Process{}, map[string]string{
			"Uid": "0 0 0 0", "Gid": "0 0 0 0", "Groups": "", "Umask": "0022",
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none}},
		{"root with one", config.Process{Capabilities: bind}, map[string]string{
			"Uid": "0 0 0 0", "CapInh": none, "CapPrm": bound, "CapEff": bound, "CapBnd": bound, "CapAmb": none}},
		{"a user", config.Process{User: config.User{UID: 1000, GID: 1001, Groups: []uint32{7, 5}, Umask: &umask}}, map[string]string{
			"Uid": "1000 1000 1000 1000", "Gid": "1001 1001 1001 1001", "Groups": "5 7", "Umask": "0077",
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none}},
		{"a user with one", config.Process{User: config.User{UID: 1000, GID: 1000}, Capabilities: bind}, map[string]string{
			"Uid": "1000 1000 1000 1000", "Groups": "", "CapInh": none, "CapPrm": bound, "CapEff": bound, "CapBnd": bound, "CapAmb": none}},
		{"a user with a label to come", config.Process{User: config.User{UID: 1000}, AppArmorProfile: "unconfined"}, map[string]string{
			"Uid": "1000 1000 1000 1000", "Gid": "0 0 0 0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proc, said := drop(t, &tt.p)
			if want := (report{DeathSig: int(unix.SIGKILL)}); said != want {
				t.Errorf("the process said %+v, want %+v", said, want)
			}
			tt.want["NoNewPrivs"] = "1"
			for _, have := range status(t, proc.Pid) {
				for name, value := range tt.want {
					if have[name] != value {
						t.Errorf("thread %s: %s is %q, want %q", have["Pid"], name, have[name], value)
					}
				}
			}
		})
	}
}

func TestSchedulingIsBornWith(t *testing.T) {
	p := &config.Process{
		CPUAffinity: "0",
		Scheduler:   &specs.Scheduler{Policy: specs.SchedBatch, Nice: 7},
		IOPriority:  &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6},
		Personality: &specs.LinuxPersonality{Domain: specs.PerLinux32},
	}
	proc, said := drop(t, p)
	if said.Error != "" {
		t.Fatal(said.Error)
	}
	for _, have := range status(t, proc.Pid) {
		pid, _ := strconv.Atoi(have["Pid"])
		if have["Cpus_allowed_list"] != "0" {
			t.Errorf("thread %d runs on %q", pid, have["Cpus_allowed_list"])
		}
		attr, err := unix.SchedGetAttr(pid, 0)
		if err != nil || attr.Policy != 3 || attr.Nice != 7 {
			t.Errorf("thread %d: scheduler %+v, %v", pid, attr, err)
		}
		prio, _, errno := unix.RawSyscall(unix.SYS_IOPRIO_GET, 1, uintptr(pid), 0)
		if errno != 0 || prio != 2<<13|6 {
			t.Errorf("thread %d: I/O priority %#x, %v", pid, prio, errno)
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/personality", proc.Pid))
	if got := strings.TrimSpace(string(text)); err != nil || got != "00000008" {
		t.Errorf("personality %q, %v", got, err)
	}
}

func TestLimits(t *testing.T) {
	p := &config.Process{
		User: config.User{UID: 1000},
		Rlimits: []config.Rlimit{
			{Type: unix.RLIMIT_NOFILE, Soft: 100, Hard: 200},
			{Type: unix.RLIMIT_CORE, Soft: 0, Hard: 0},
			{Type: unix.RLIMIT_AS, Soft: 1 << 20, Hard: 1 << 20}, // would break the runtime
			{Type: unix.RLIMIT_DATA, Soft: 1 << 20, Hard: 1 << 20},
		},
	}
	proc, said := drop(t, p)
	if said.Error != "" {
		t.Fatal(said.Error)
	}
	for resource, want := range map[int]unix.Rlimit{
		unix.RLIMIT_NOFILE: {Cur: 100, Max: 200},
		unix.RLIMIT_CORE:   {},
		unix.RLIMIT_AS:     {Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY},
		unix.RLIMIT_DATA:   {Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY},
	} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", proc.Pid))
		if err != nil {
			t.Fatal(err)
		}
		label := map[int]string{unix.RLIMIT_NOFILE: "Max open files", unix.RLIMIT_CORE: "Max core file size",
			unix.RLIMIT_AS: "Max address space", unix.RLIMIT_DATA: "Max data size"}[resource]
		value := func(v uint64) string {
			if v == unix.RLIM_INFINITY {
				return "unlimited"
			}
			return fmt.Sprint(v)
		}
		_, line, _ := strings.Cut(string(text), label)
		if f := strings.Fields(line); len(f) < 2 || f[0] != value(want.Cur) || f[1] != value(want.Max) {
			t.Errorf("%s: %q, want %+v", label, f[:2], want)
		}
	}

	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	_, said = drop(t, &config.Process{Rlimits: []config.Rlimit{{Type: unix.RLIMIT_NOFILE, Soft: 10, Hard: now.Max + 1}}})
	if said.Error != "" && !strings.Contains(said.Error, "RLIMIT_NOFILE") {
		t.Errorf("raising the hard limit: %s", said.Error)
	}
	if _, said = drop(t, &config.Process{Rlimits: []config.Rlimit{{Type: unix.RLIMIT_NOFILE, Soft: 20, Hard: 10}}}); !strings.Contains(said.Error, "soft limit is above") {
		t.Errorf("a soft limit above the hard one: %q", said.Error)
	}
}

func TestOOMScoreAdj(t *testing.T) {
	proc, said := drop(t, &config.Process{User: config.User{UID: 1000}})
	if said.Error != "" {
		t.Fatal(said.Error)
	}
	if warning, err := SetOOMScoreAdj(proc.Pid, 500); warning != "" || err != nil {
		t.Fatalf("raising: %q, %v", warning, err)
	}
	got, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", proc.Pid))
	if err != nil || strings.TrimSpace(string(got)) != "500" {
		t.Errorf("the adjustment is %q, %v", got, err)
	}
	warning, err := SetOOMScoreAdj(proc.Pid, -998)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ = os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", proc.Pid)); strings.TrimSpace(string(got)) != "-998" && !strings.Contains(warning, "CAP_SYS_RESOURCE") {
		t.Errorf("the adjustment is %q and the warning %q", got, warning)
	}
	if _, err := SetOOMScoreAdj(proc.Pid, 5000); err == nil {
		t.Error("an adjustment out of range was taken")
	}
}

func TestRefusals(t *testing.T) {
	for name, p := range map[string]config.Process{
		"affinity, empty part":   {CPUAffinity: "0,"},
		"affinity, backwards":    {CPUAffinity: "3-1"},
		"affinity, not a number": {CPUAffinity: "a-b"},
		"affinity, huge":         {CPUAffinity: "0-65535"},
		"scheduler policy":       {Scheduler: &specs.Scheduler{Policy: "SCHED_NICE"}},
		"scheduler flag":         {Scheduler: &specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{"X"}}},
		"I/O class":              {IOPriority: &specs.LinuxIOPriority{Class: "X"}},
		"I/O priority":           {IOPriority: &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 8}},
		"personality":            {Personality: &specs.LinuxPersonality{Domain: "HURD"}},
	} {
		if _, err := Calls(&p, false); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	set, err := parseCPUs("0-2, 5,7-7")
	if err != nil {
		t.Fatal(err)
	}
	for cpu := range 10 {
		if want := cpu <= 2 || cpu == 5 || cpu == 7; set.IsSet(cpu) != want {
			t.Errorf("processor %d: %v", cpu, !want)
		}
	}
}
