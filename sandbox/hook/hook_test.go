// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func shell(script string, env ...string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"hook", "-c", script}, Env: env}
}

func state(t *testing.T) specs.State {
	return specs.State{Version: specs.Version, ID: "c1", Status: specs.StateCreated, Pid: 4711, Bundle: t.TempDir(),
		Annotations: map[string]string{"big": strings.Repeat("x", 200<<10)}} // more than a pipe holds
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWhatAHookGets(t *testing.T) {
	t.Setenv("SECRET", "the shim's")
	s := state(t)
	err := Run(t.Context(), []specs.Hook{
		shell(`/bin/cat > state; echo "$0" "$PWD" > args; /usr/bin/env > env; echo one >> order`, "A=1", "B=two words"),
		shell(`echo two >> order; ls /proc/self/fd > fds; cut -d' ' -f1,5,6 /proc/self/stat > ids`, "PATH=/bin:/usr/bin"),
	}, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return read(t, filepath.Join(s.Bundle, name)) }
	var got specs.State
	if err := json.Unmarshal([]byte(in("state")), &got); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("the state on its standard input: %v, %.200q", err, in("state"))
	}
	if got, want := in("args"), "hook "+s.Bundle+"\n"; got != want {
		t.Errorf("arguments and folder %q, want %q", got, want)
	}
	env := make(map[string]bool)
	for line := range strings.Lines(in("env")) {
		env[strings.TrimSpace(line)] = true
	}
	// The shell itself adds PWD and _.
	if !env["A=1"] || !env["B=two words"] || strings.Contains(in("env"), "SECRET") || strings.Contains(in("env"), "HOME=") {
		t.Errorf("environment %q", in("env"))
	}
	if got := in("order"); got != "one\ntwo\n" {
		t.Errorf("order %q", got)
	}
	if got := in("fds"); got != "0\n1\n2\n3\n" { // 3 is ls's own
		t.Errorf("descriptors %q", got)
	}
	ids := strings.Fields(in("ids")) // pid, process group, session
	if len(ids) != 3 || ids[1] != ids[2] || ids[1] == strconv.Itoa(unix.Getpgrp()) {
		t.Errorf("pid, group and session %v; the test's group is %d", ids, unix.Getpgrp())
	}
}

func TestAHookThatReadsNothing(t *testing.T) {
	if err := Run(t.Context(), []specs.Hook{{Path: "/bin/true"}}, state(t), nil); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), nil, state(t), nil); err != nil {
		t.Fatal(err)
	}
}

func TestFailures(t *testing.T) {
	long := strings.Repeat("y", 5000)
	negative := -1
	for _, tt := range []struct {
		name string
		hook specs.Hook
		want string
	}{
		{"exit status", shell("echo out; echo 'no network' >&2; exit 3"), "hook /bin/sh: it failed with exit status 3: out no network: failed precondition"},
		{"silent", shell("exit 1"), "hook /bin/sh: it failed with exit status 1: failed precondition"},
		{"signal", shell("kill -TERM $$"), "hook /bin/sh: it failed with signal SIGTERM: failed precondition"},
		{"control characters", shell(`printf 'a\033[31mb\0c\377' >&2; exit 1`), "it failed with exit status 1: a [31mb c?:"},
		{"much output", shell("echo first; echo " + long + " >&2; exit 1"), "exit status 1: " + strings.Repeat("y", maxOutput-1) + ":"},
		{"a relative path", specs.Hook{Path: "bin/sh"}, "hook bin/sh: its path must be absolute"},
		{"no path", specs.Hook{}, "its path must be absolute"},
		{"a path with NUL", specs.Hook{Path: "/bin/\x00sh"}, "invalid argument"},
		{"an argument with NUL", specs.Hook{Path: "/bin/sh", Args: []string{"a\x00b"}}, "invalid argument"},
		{"a missing program", specs.Hook{Path: "/no/such/hook"}, "hook /no/such/hook: executing /no/such/hook: no such file or directory"},
		{"no program", specs.Hook{Path: "/etc/passwd"}, "permission denied"},
		{"a bad timeout", specs.Hook{Path: "/bin/true", Timeout: &negative}, "above zero"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := state(t)
			mark := filepath.Join(s.Bundle, "next")
			err := Run(t.Context(), []specs.Hook{tt.hook, shell("echo > next")}, s, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q", err, tt.want)
			}
			if _, err := os.Stat(mark); !os.IsNotExist(err) {
				t.Error("the next hook ran")
			}
		})
	}
}

// TestDeadline: the hook and what it started in its group are killed.
func TestDeadline(t *testing.T) {
	s := state(t)
	h := shell("sleep 1000 & echo $! > child; echo $$ > pid; echo waiting; wait", "PATH=/bin:/usr/bin")
	second := 1
	h.Timeout = &second
	err := Run(t.Context(), []specs.Hook{h}, s, nil)
	if !errdefs.IsAborted(err) || !strings.Contains(err.Error(), "did not end within 1s: waiting") {
		t.Errorf("error %v", err)
	}
	for _, name := range []string{"pid", "child"} {
		pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(s.Bundle, name))))
		if err != nil {
			t.Fatal(err)
		}
		gone := func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ") // an orphan that init has yet to reap
		}
		for end := time.Now().Add(5 * time.Second); !gone(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the hook's %s lives on", name)
			}
		}
	}
}

func TestTheCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the caller went away")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if err := Run(ctx, []specs.Hook{shell("sleep 1000", "PATH=/bin:/usr/bin")}, state(t), nil); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// TestADaemonDoesNotHoldTheHook: what a hook leaves running keeps its output
// open, and must not keep the container waiting.
func TestADaemonDoesNotHoldTheHook(t *testing.T) {
	s := state(t)
	start := time.Now()
	if err := Run(t.Context(), []specs.Hook{shell("setsid sleep 1000 & echo $! > daemon", "PATH=/bin:/usr/bin")}, s, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the hook took %v", took)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(s.Bundle, "daemon"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("the daemon did not outlive the hook: %v", err)
	}
}
