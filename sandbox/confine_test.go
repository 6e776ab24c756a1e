// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// TestPrivileges reads what the kernel says about every thread of a running
// guest, in init and in an exec.
func TestPrivileges(t *testing.T) {
	for _, userns := range []bool{false, true} {
		for _, uid := range []uint32{0, 1000} {
			b := newBox(t, "echo", "up", ",", "spin")
			base := uint32(0)
			if userns {
				b.inUserNamespace()
				base = 100000
			}
			p := &b.config.Process
			p.User = config.User{UID: uid, GID: uid, Groups: []uint32{30, 20}}
			p.Capabilities = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_NET_BIND_SERVICE
			p.Rlimits = []config.Rlimit{{Type: unix.RLIMIT_NOFILE, Soft: 100, Hard: 200}}
			b.start()
			eventually(t, "it runs", func() bool { return b.stdout.now() != "" })
			other, out, err := b.exec(*p)
			must(t, err)
			must(t, other.Start(testContext(t)))
			eventually(t, "the exec runs", func() bool { return out.now() != "" })
			for _, pid := range []int{b.init.Pid(), other.Pid()} {
				want := map[string]string{
					"Uid": strings.Repeat(fmt.Sprintf("%d ", base+uid), 4), "Gid": strings.Repeat(fmt.Sprintf("%d ", base+uid), 4),
					"Groups": fmt.Sprintf("%d %d ", base+20, base+30),
					"CapInh": "0000000000000000 ", "CapAmb": "0000000000000000 ", "CapPrm": "0000000000000402 ",
					"CapEff": "0000000000000402 ", "CapBnd": "0000000000000402 ", "NoNewPrivs": "1 ", "Seccomp": "2 ",
				}
				checkStatus(t, pid, want)
				limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
				must(t, err)
				if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max open files 100 200") {
					t.Errorf("limits of %d:\n%s", pid, limits)
				}
			}
			must(t, b.Delete(testContext(t)))
		}
	}
}

func checkStatus(t *testing.T, pid int, want map[string]string) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	must(t, err)
	if len(threads) < 2 {
		t.Errorf("%d has %d threads", pid, len(threads))
	}
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		must(t, err)
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			if w, ok := want[key]; ok {
				if got := strings.Join(strings.Fields(value), " ") + " "; got != w {
					t.Errorf("%s: %s is %q, want %q", thread, key, got, w)
				}
			}
		}
	}
}

// TestDescriptors: what a running guest's process has open is its stdio, the
// root that it was given, the log, and what the Go runtime itself needs.
func TestDescriptors(t *testing.T) {
	b := newBox(t, "echo", "up", ",", "spin")
	b.config.Mounts = []config.Mount{bind(source(t), "/data", 0)}
	b.start()
	eventually(t, "it runs", func() bool { return b.stdout.now() != "" })
	other, out, err := b.exec(boxProcess("echo", "up", ",", "spin"))
	must(t, err)
	must(t, other.Start(testContext(t)))
	eventually(t, "the exec runs", func() bool { return out.now() != "" })
	for _, pid := range []int{b.init.Pid(), other.Pid()} {
		var got []string
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		fds, err := os.ReadDir(dir)
		must(t, err)
		for _, fd := range fds {
			to := link(t, dir+fd.Name())
			if strings.HasPrefix(to, "pipe:") {
				to = "pipe"
			}
			got = append(got, fmt.Sprintf("%2s %s", fd.Name(), to))
		}
		sort.Strings(got)
		stdio := " 0 /dev/null, 1 /dev/null, 2 pipe, 3 /dev/null, 4 pipe, 5 pipe"
		all := strings.Join(got, ",")
		if !strings.HasPrefix(all, stdio) {
			t.Errorf("stdio: %s", all)
		}
		rest := strings.Split(strings.TrimPrefix(all, stdio), ",")
		for _, fd := range rest {
			_, what, _ := strings.Cut(strings.TrimSpace(fd), " ")
			switch what {
			case "", "/", "anon_inode:[eventpoll]", "anon_inode:[eventfd]":
			default:
				t.Errorf("descriptor %q is open to a guest; all: %s", fd, all)
			}
		}
	}
	env, err := os.ReadFile(b.proc("environ"))
	must(t, err)
	if strings.Contains(string(env), "PATH") {
		t.Errorf("the process's environment: %q", env)
	}
	args, err := os.ReadFile(b.proc("cmdline"))
	must(t, err)
	if string(args) != "/box.wasm\x00echo\x00up\x00,\x00spin\x00" {
		t.Errorf("the process's arguments: %q", args)
	}
	comm, err := os.ReadFile(b.proc("comm"))
	must(t, err)
	if string(comm) != "box.wasm\n" {
		t.Errorf("the process's name: %q", comm)
	}
	mounts, err := os.ReadFile(b.proc("mounts"))
	must(t, err)
	if n := strings.Count(string(mounts), "\n"); n != 2 {
		t.Errorf("%d mounts, want the root and /data:\n%s", n, mounts)
	}
}

// TestNothingBeforeStart: the guest's first instruction waits for Start.
func TestNothingBeforeStart(t *testing.T) {
	b := newBox(t, "write", "/tmp/ran", "x", ",", "spin").create()
	if _, err := os.Stat(b.inside("/tmp/ran")); err == nil {
		t.Error("it ran")
	}
	must(t, b.init.Start(testContext(t)))
	eventually(t, "it runs", func() bool { _, err := os.Stat(b.inside("/tmp/ran")); return err == nil })
}

// TestLogs: what the process itself says reaches the operator, not the guest's
// stderr, and no more of it than is bearable.
func TestLogs(t *testing.T) {
	l := &lines{}
	r, w, err := newLog(l.add)
	must(t, err)
	for range 300 {
		_, err := fmt.Fprintf(w, "bad\x1b[2J %s\n", strings.Repeat("x", 3000))
		must(t, err)
	}
	w.Close()
	<-r.ended
	got := strings.Split(l.String(), "\n")
	if len(got) != linesPerBurst || len(got[0]) > maxLine || strings.ContainsRune(got[0], 0x1b) {
		t.Errorf("%d lines, the first %q", len(got), got[0])
	}
}

// TestLogFlood: a process that writes without end costs the shim no processor,
// whether its lines have no end or nothing in them.
func TestLogFlood(t *testing.T) {
	for name, text := range map[string]string{"no line": "x", "empty lines": "\n", "lines": strings.Repeat("x", 79) + "\n"} {
		t.Run(name, func(t *testing.T) {
			_, w, err := newLog(nil)
			must(t, err)
			defer w.Close()
			must(t, w.SetWriteDeadline(time.Now().Add(2*time.Second)))
			flood := []byte(strings.Repeat(text, 16*bytesPerBurst/len(text)))
			n, err := w.Write(flood)
			if !errors.Is(err, os.ErrDeadlineExceeded) || n > 2*bytesPerBurst {
				t.Errorf("%d bytes were read: %v", n, err)
			}
		})
	}
}
