// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fork

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const testRole = "FORK_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(testRole) {
	case "":
		os.Exit(m.Run())
	case "report":
		report(os.Stdout)
	case "wait":
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "parent":
		startAndSpin()
	case "spin":
		//lint:ignore SA5002 that is what it is for
		for {
		}
	}
}

// report prints what a child can see of itself.
func report(w io.Writer) {
	fmt.Fprintln(w, "pid", os.Getpid())
	fmt.Fprintln(w, "uid", os.Getuid(), "gid", os.Getgid())
	fmt.Fprintln(w, "args", strings.Join(os.Args, "|"))
	fmt.Fprintln(w, "env", strings.Join(os.Environ(), "|"))
	sid, _ := unix.Getsid(0)
	fmt.Fprintln(w, "leader", sid == os.Getpid())
	var sig int32
	_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_PDEATHSIG, pointer(&sig), 0)
	fmt.Fprintln(w, "pdeathsig", sig)
	var open []string
	for fd := 0; fd < 1024; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err == nil && !runtimeDescriptor(fd) {
			open = append(open, strconv.Itoa(fd))
		}
		_ = flags
	}
	fmt.Fprintln(w, "fds", strings.Join(open, ","))
}

// runtimeDescriptor reports whether the Go runtime opened fd for itself.
func runtimeDescriptor(fd int) bool {
	s, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return strings.Contains(s, "eventpoll") || strings.Contains(s, "eventfd") || strings.Contains(s, "cgroup") ||
		strings.Contains(s, "cpu.max")
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test makes namespaces: run it as root")
	}
}

func null(t testing.TB) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// start starts this binary in role, its stdout a pipe.
func start(t testing.TB, role string, s Spec) (*Process, *os.File) {
	t.Helper()
	exe, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s.Exe, s.Terminal = exe, -1
	s.Env = []string{testRole + "=" + role, "GOMAXPROCS=2"}
	if s.Files == nil {
		s.Files = []*os.File{null(t), w, os.Stderr}
	} else {
		s.Files = append(s.Files, w)
	}
	p, err := Start(&s)
	if err != nil {
		r.Close()
		t.Fatal(err)
	}
	return p, r
}

func reap(t testing.TB, p *Process) unix.WaitStatus {
	t.Helper()
	var status unix.WaitStatus
	wait(func() error { _, err := unix.Wait4(p.Pid, &status, unix.WALL, nil); return err })
	p.Pidfd.Close()
	return status
}

func run(t testing.TB, s Spec) string {
	t.Helper()
	p, r := start(t, "report", s)
	out, err := io.ReadAll(r)
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	if st := reap(t, p); !st.Exited() || st.ExitStatus() != 0 {
		t.Fatalf("child ended with %#x: %s", st, out)
	}
	return string(out)
}

func contains(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains("\n"+out, "\n"+l+"\n") {
			t.Errorf("no line %q in:\n%s", l, out)
		}
	}
}

func TestStart(t *testing.T) {
	needRoot(t)
	out := run(t, Spec{
		New:  unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		Args: []string{"/app.wasm", "", "a b"},
	})
	contains(t, out, "pid 1", "uid 0 gid 0", "args /app.wasm||a b", "env FORK_TEST_ROLE=report|GOMAXPROCS=2",
		"leader true", "pdeathsig 9", "fds 0,1,2")
}

func TestUserNamespace(t *testing.T) {
	needRoot(t)
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	ns, err := UserNamespace(ids, ids)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	s := Spec{
		Join: []Join{{ns, unix.CLONE_NEWUSER, "the user namespace"}},
		Root: true,
		New:  unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
		Args: []string{"x"},
	}
	contains(t, run(t, s), "pid 1", "uid 0 gid 0")
	p, r := start(t, "wait", withInput(t, s))
	defer r.Close()
	got, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), "Uid:\t100000\t100000") {
		t.Errorf("not the mapped user on the host:\n%s", got)
	}
	// A further process joins everything by the pidfd.
	join := Spec{
		Join: []Join{
			{p.Pidfd, unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET, "the container"},
			{p.Pidfd, unix.CLONE_NEWUSER, "the user namespace"},
		},
		Root: true,
		Args: []string{"x"},
	}
	if out := run(t, join); strings.Contains(out, "pid 1\n") || !strings.Contains(out, "uid 0 gid 0") {
		t.Errorf("the joining process:\n%s", out)
	}
	_ = unix.Kill(p.Pid, unix.SIGKILL)
	reap(t, p)
}

// withInput gives the process a stdin that stays open until the test ends.
func withInput(t testing.TB, s Spec) Spec {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	s.Files = []*os.File{r, null(t), os.Stderr}
	return s
}

func TestErrors(t *testing.T) {
	needRoot(t)
	exe, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	dn := null(t)
	tests := []struct {
		name string
		spec Spec
		step string
		err  error
	}{
		{"join what is no namespace", Spec{Exe: exe, Join: []Join{{dn, unix.CLONE_NEWNET, "the network namespace"}}}, "joining the network namespace", unix.EINVAL},
		{"write to what is no cgroup", Spec{Exe: exe, CgroupProcs: []*os.File{exe}}, "entering the cgroup self", unix.EBADF},
		{"into what is no cgroup", Spec{Exe: exe, CgroupDir: dn}, "forking", unix.EBADF},
		{"bad clone flags", Spec{Exe: exe, New: unix.CLONE_THREAD}, "making the process and its namespaces", unix.EINVAL},
		{"a call", Spec{Exe: exe, Calls: []Call{{Number: unix.SYS_CLOSE, Args: [5]uintptr{4000}, What: "closing"}}}, "closing", unix.EBADF},
		{"no such program", Spec{Path: "/nonexistent"}, "executing /nonexistent", unix.ENOENT},
		{"no program", Spec{Exe: dn}, "executing the sandbox", unix.EACCES},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tc.spec.Files, tc.spec.Terminal = []*os.File{dn, dn, dn}, -1
			_, err := Start(&tc.spec)
			var e *Error
			if !errors.As(err, &e) || e.Step != tc.step || !errors.Is(err, tc.err) {
				t.Fatalf("got %v, want %s: %v", err, tc.step, tc.err)
			}
			if _, err := unix.Wait4(-1, nil, unix.WALL|unix.WNOHANG, nil); err != unix.ECHILD {
				t.Fatalf("a child is left: %v", err)
			}
		})
	}
}

func TestDescriptorsBelow(t *testing.T) {
	needRoot(t)
	// Descriptors whose numbers are those of the child, crossed.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	exe, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(&Spec{Exe: exe, Env: []string{testRole + "=report", "GOMAXPROCS=1"}, Args: []string{"x"},
		Files: []*os.File{os.Stderr, w, os.Stdin}, Terminal: -1})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(r)
	reap(t, p)
	contains(t, string(out), "fds 0,1,2")
}

// TestStress forks while the collector and other goroutines work.
func TestStress(t *testing.T) {
	needRoot(t)
	rounds := 300
	if raceEnabled { // whose shadow memory takes a second to copy
		rounds = 10
	}
	stop := make(chan struct{})
	defer close(stop)
	for range 2 {
		go func() {
			var keep [64][]byte
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				keep[i%len(keep)] = bytes.Repeat([]byte{1}, 64<<10)
				if i%50 == 0 {
					runtime.GC()
				}
			}
		}()
	}
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}}
	for i := range rounds {
		ns, err := UserNamespace(ids, ids)
		if err != nil {
			t.Fatal(err)
		}
		out := run(t, Spec{
			Join: []Join{{ns, unix.CLONE_NEWUSER, "the user namespace"}}, Root: true,
			New:  unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS,
			Args: []string{"x", strconv.Itoa(i)},
		})
		ns.Close()
		contains(t, out, "pid 1", "args x|"+strconv.Itoa(i), "fds 0,1,2")
	}
}

// startAndSpin is a parent that leaves a spinning child to its fate.
func startAndSpin() {
	exe, err := Self()
	if err != nil {
		panic(err)
	}
	dn, _ := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	p, err := Start(&Spec{Exe: exe, Env: []string{testRole + "=spin"}, Args: []string{"spin"},
		Files: []*os.File{dn, dn, dn}, New: unix.CLONE_NEWPID, Terminal: -1})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Pid)
	select {}
}

func TestDiesWithParent(t *testing.T) {
	needRoot(t)
	p, r := start(t, "parent", Spec{Args: []string{"parent"}})
	defer r.Close()
	var pid int
	if _, err := fmt.Fscan(r, &pid); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	_ = unix.Kill(p.Pid, unix.SIGKILL)
	reap(t, p)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(time.Second/time.Millisecond))
	if err != nil || n != 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		t.Fatalf("the child outlived its parent by a second (%v)", err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p, r := start(b, "report", Spec{Args: []string{"x"}, New: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS})
		_, _ = io.Copy(io.Discard, r)
		r.Close()
		reap(b, p)
	}
}
