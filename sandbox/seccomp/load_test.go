// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package seccomp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary enters the filter itself: as a child with this variable set
// it reads the program from its standard input and does what the value says.
const play = "SECCOMP_TEST_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(play); part != "" {
		child(part)
	}
	os.Exit(m.Run())
}

func child(part string) {
	fail := func(err error) {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	p, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	if part == "threads" {
		holdThreads(8)
	}
	if err := Load(p); err != nil {
		fail(err)
	}
	switch part {
	case "threads":
		holdThreads(4) // born under the filter
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "work":
		if err := work(); err != nil {
			fail(err)
		}
		fmt.Println("ok")
	default:
		var c [7]uintptr
		for i, f := range strings.Fields(part) {
			n, _ := strconv.ParseUint(f, 0, 64)
			c[i] = uintptr(n)
		}
		_, _, errno := unix.RawSyscall6(c[0], c[1], c[2], c[3], c[4], c[5], c[6])
		fmt.Println("errno", int(errno))
	}
	os.Exit(0)
}

// holdThreads starts goroutines with a thread each.
func holdThreads(n int) {
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

// work is what Go programs do: threads, collections, timers, signals, traps,
// files, sockets.
func work() error {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			runtime.LockOSThread()
			for range 20 {
				_ = make([]byte, 1<<20)
				runtime.GC()
				time.Sleep(time.Millisecond)
			}
		})
	}
	spin := make(chan bool)
	go func() { // preempted by signals
		for i := 0; ; i++ {
			select {
			case <-spin:
				return
			default:
			}
		}
	}()
	func() {
		defer func() { recover() }()
		var p *int
		*p = 1
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 5) // io.Copy would splice, which is not on the list
		if n, err := c.Read(buf); err == nil {
			c.Write(buf[:n])
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		return err
	}
	c.Close()
	dir := os.TempDir() + "/seccomp-" + strconv.Itoa(os.Getpid())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600); err != nil {
		return err
	}
	if _, err := os.ReadDir(dir); err != nil {
		return err
	}
	wg.Wait()
	close(spin)
	return nil
}

func start(t *testing.T, p Program, part string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{play + "=" + part}
	cmd.Stdin = strings.NewReader(string(p))
	cmd.Stderr = os.Stderr
	return cmd
}

// TestForbiddenCalls tries each call in a process of its own.
func TestForbiddenCalls(t *testing.T) {
	p := build(t, nil)
	killed := append(append([]uint32{}, never[:]...), neverHere[:]...)
	if firstForeign != 0 {
		killed = append(killed, firstForeign|unix.SYS_GETPID)
	}
	for _, nr := range killed {
		t.Run(fmt.Sprint("killed ", nr), func(t *testing.T) {
			t.Parallel()
			out, err := start(t, p, fmt.Sprint(nr)).Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGSYS {
				t.Errorf("the process was not killed: %q, %v", out, err)
			}
		})
	}
	for name, c := range map[string]struct {
		call string
		want unix.Errno
	}{
		"setuid":            {fmt.Sprint(unix.SYS_SETUID, 0), unix.EPERM},
		"capset":            {fmt.Sprint(unix.SYS_CAPSET), unix.EPERM},
		"mmap exec":         {fmt.Sprint(unix.SYS_MMAP, " 0 4096 ", 5, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS), unix.EPERM},
		"mprotect exec":     {fmt.Sprint(unix.SYS_MPROTECT, " 0 4096 ", 5), unix.EPERM},
		"raw socket":        {fmt.Sprint(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW, 1), unix.EPERM},
		"netlink":           {fmt.Sprint(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0), unix.EPERM},
		"a process":         {fmt.Sprint(unix.SYS_CLONE, int(unix.SIGCHLD)), unix.EPERM},
		"clone3":            {fmt.Sprint(unix.SYS_CLONE3), unix.ENOSYS},
		"signal to init":    {fmt.Sprint(unix.SYS_KILL, 1, 0), unix.EPERM},
		"signal to its own": {fmt.Sprint(unix.SYS_KILL, 0, 0), unix.EPERM},
		"tiocsti":           {fmt.Sprint(unix.SYS_IOCTL, 0, unix.TIOCSTI), unix.EPERM},
		"mknodat":           {fmt.Sprint(unix.SYS_MKNODAT), unix.EPERM},
		"chmod":             {fmt.Sprint(unix.SYS_FCHMODAT), unix.EPERM},
		"chown":             {fmt.Sprint(unix.SYS_FCHOWNAT), unix.EPERM},
		"inotify":           {fmt.Sprint(unix.SYS_INOTIFY_INIT1), unix.EPERM},
		"pidfd_open":        {fmt.Sprint(unix.SYS_PIDFD_OPEN, 1), unix.EPERM},
		"landlock":          {fmt.Sprint(unix.SYS_LANDLOCK_RESTRICT_SELF), unix.EPERM},
		"shmget":            {fmt.Sprint(unix.SYS_SHMGET), unix.EPERM},
		"a future call":     {"4000", unix.EPERM},
		"getpid, allowed":   {fmt.Sprint(unix.SYS_GETPID), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := start(t, p, c.call).Output()
			if want := fmt.Sprintln("errno", int(c.want)); err != nil || string(out) != want {
				t.Errorf("the call said %q, %v, want %q", out, err, want)
			}
		})
	}
}

// TestGoWorksUnderTheFilter holds the list against the runtime of the Go
// version in use, under each profile that leaves it whole.
func TestGoWorksUnderTheFilter(t *testing.T) {
	for name, p := range map[string]Program{"none": build(t, nil), "docker": build(t, testdata(t, "docker.json"))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := start(t, p, "work").Output(); err != nil || string(out) != "ok\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

func TestEveryThreadIsUnderTheFilter(t *testing.T) {
	cmd := start(t, build(t, nil), "threads")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line := make([]byte, 64)
	if n, err := out.Read(line); string(line[:n]) != "ready\n" {
		t.Fatalf("%q, %v", line[:n], err)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	if err != nil || len(tasks) < 12 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"\nSeccomp:\t2\n", "\nSeccomp_filters:\t1\n", "\nNoNewPrivs:\t1\n"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("%s lacks %q", task, want)
			}
		}
	}
}

func TestLoadRefusesWhatIsNoProgram(t *testing.T) {
	for _, p := range []Program{nil, {}, make(Program, 7)} {
		if err := Load(p); err == nil {
			t.Errorf("a program of %d bytes was loaded", len(p))
		}
	}
}
