// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/api/types"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/integration/harness"
)

func parent(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	ppid, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

func gone(pid int) func() bool {
	return func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return os.IsNotExist(err)
	}
}

// closeIO removes the client's own FIFOs of processes that nobody deletes.
func closeIO(processes ...client.Process) {
	for _, p := range processes {
		p.IO().Cancel()
		p.IO().Close()
	}
}

// No guest outlives its shim, and containerd hears of the end of each.
func TestShimDies(t *testing.T) {
	for _, version := range harness.Versions() {
		t.Run(version, func(t *testing.T) {
			node := harness.New(t, version)
			for name, args := range map[string][]string{
				"sleeping": {"echo", "up", ",", "sleep", "100000"}, "spinning": {"echo", "up", ",", "spin"},
				"paused": {"echo", "up", ",", "spin"},
			} {
				t.Run(name, func(t *testing.T) {
					events := node.Events(t)
					task := node.Guest(t, "box", args...).Start()
					task.Expect("up")
					other := task.Exec("box", "spin").Start()
					if name == "paused" {
						task.Pause()
					}
					shim, pid := parent(t, task.Pid()), task.Pid()
					if err := syscall.Kill(shim, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
					began := time.Now()
					harness.Eventually(t, "the guest dies", gone(pid))
					harness.Eventually(t, "the exec dies", gone(other.Pid()))
					if took := time.Since(began); took > time.Second {
						t.Errorf("the guests outlived their shim by %s", took)
					}
					harness.Eventually(t, "the exit is known", func() bool {
						return slices.Contains(events.Of(task.ID), "exit 137")
					})
					closeIO(task.Client(), other.Client())
				})
			}
		})
	}
}

// A sandbox that is killed from outside is an ordinary exit.
func TestSandboxDies(t *testing.T) {
	node := harness.Shared(t)
	task := node.Guest(t, "box", "echo", "up", ",", "spin").Start()
	task.Expect("up")
	if err := syscall.Kill(task.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	task.WaitFor(quickly).Exits(137)
	task.Delete()
}

// A shim whose container has been cleared away behind its back, as containerd does
// with one that it cannot reach when it starts, is not left for good.
func TestForgottenShim(t *testing.T) {
	node := harness.New(t, harness.Versions()[0])
	task := node.Guest(t, "box", "echo", "up", ",", "spin").Start()
	task.Expect("up")
	shim := parent(t, task.Pid())
	bundle, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", shim))
	if err != nil {
		t.Fatal(err)
	}
	work, err := os.Readlink(filepath.Join(bundle, "work"))
	if err != nil {
		t.Fatal(err)
	}
	node.Crash()
	cmd := exec.Command(harness.Shim(), "-namespace", node.Namespace, "-id", task.ID, "-bundle", bundle, "delete")
	cmd.Dir = bundle
	harness.Execute(t, cmd).Exits(0)
	harness.Eventually(t, "the guest is gone", gone(task.Pid()))
	if gone(shim)() {
		t.Error("the shim ends while its container's bundle is there")
	}
	if err := errors.Join(os.RemoveAll(bundle), os.RemoveAll(work)); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the shim ends", gone(shim))
	node.Start(t)
	closeIO(task.Client())
}

// A signal to the shim ends its containers, whose exits are known and kept.
func TestShimTerminated(t *testing.T) {
	node := harness.Shared(t)
	events := node.Events(t)
	task := node.Guest(t, "box", "echo", "up", ",", "spin").Start()
	task.Expect("up")
	shim := parent(t, task.Pid())
	if err := syscall.Kill(shim, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the shim ends", gone(shim))
	harness.Eventually(t, "the exit is known", func() bool { return slices.Contains(events.Of(task.ID), "exit 137") })
	closeIO(task.Client())
}

func TestGroup(t *testing.T) {
	node := harness.Shared(t)
	const group = "io.containerd.runc.v2.group"
	first := node.Guest(t, "box", "answer").Annotation(group, "g").Interactive().Start()
	second := node.Guest(t, "box", "answer").Annotation(group, "g").Interactive().Start()
	alone := node.Guest(t, "box", "answer").Interactive().Start()
	shim := parent(t, first.Pid())
	if parent(t, second.Pid()) != shim {
		t.Error("two members of a group have two shims")
	}
	if parent(t, alone.Pid()) == shim {
		t.Error("a stranger is in the group's shim")
	}
	first.Kill(syscall.SIGTERM)
	first.WaitFor(quickly).Exits(143)
	first.Delete()
	second.Type("still\n")
	second.Expect("got still")
	third := node.Guest(t, "box", "answer").Annotation(group, "g").Interactive().Start()
	if parent(t, third.Pid()) != shim {
		t.Error("a group's shim was not found again")
	}
	for _, task := range []*harness.Task{second, third, alone} {
		task.CloseStdin()
		task.Wait().Exits(0)
		task.Delete()
	}
	harness.Eventually(t, "the group's shim ends", gone(shim))
}

func TestEventsInOrder(t *testing.T) {
	node := harness.Shared(t)
	for range 10 {
		events := node.Events(t)
		task := node.Guest(t, "box", "wait").Interactive().Start()
		exec := task.Exec("box", "spin").Start()
		task.Pause()
		task.Resume()
		task.CloseStdin()
		task.Wait()
		exec.Wait()
		exec.Delete()
		task.Delete()
		want := []string{"create", "start", "exec-added exec1", "exec-started exec1", "paused", "resumed", "exit 137 exec1", "exit 0", "delete"}
		harness.Eventually(t, "the delete is known", func() bool { return slices.Contains(events.Of(task.ID), "delete") })
		if got := events.Of(task.ID); !slices.Equal(got, want) {
			t.Fatalf("events %q, want %q", got, want)
		}
	}
}

func TestLogURIs(t *testing.T) {
	node := harness.Shared(t)
	dir := t.TempDir()
	args := []string{"echo", "out", ",", "err", "err"}
	want := func(path, text string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v, want %q", path, got, err, text)
		}
	}
	file := filepath.Join(dir, "deep", "log")
	for range 2 {
		node.Guest(t, "box", args...).IO(cio.LogFile(file)).Run().Exits(0)
	}
	want(file, "out\nerr\nout\nerr\n")

	logger, out := filepath.Join(dir, "logger"), filepath.Join(dir, "out")
	script := "#!/bin/sh\nprintf r >&5\nexec 5>&-\necho \"$1=$2 $CONTAINER_ID\" >" + out + "\ncat <&3 >>" + out + "\ncat <&4 >>" + out + "\n"
	if err := os.WriteFile(logger, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"binary", "binary-v2"} {
		uri := &url.URL{Scheme: scheme, Path: logger, RawQuery: "key=value"}
		task := node.Guest(t, "box", args...).IO(cio.LogURI(uri)).Start()
		task.Wait().Exits(0)
		task.Delete()
		want(out, "key=value "+task.ID+"\nout\nerr\n")
	}
	node.Guest(t, "box", args...).IO(cio.LogURI(&url.URL{Scheme: "syslog", Path: "/x"})).Refused("syslog", "unknown")
	node.Guest(t, "box", args...).IO(cio.LogURI(&url.URL{Scheme: "binary", Path: "/no/logger"})).Refused("/no/logger")
}

// A slow reader loses nothing, and the shim's memory does not grow.
func TestSlowReader(t *testing.T) {
	node := harness.Shared(t)
	size := 256 << 20
	if harness.Full() {
		size = 1 << 30
	}
	slow := &slowWriter{}
	task := node.Guest(t, "box", "gen", fmt.Sprint(size)).Stdout(slow).Start()
	shim := parent(t, task.Pid())
	before := rss(t, shim)
	task.WaitFor(5 * time.Minute).Exits(0)
	if slow.n != size {
		t.Errorf("%d bytes arrived of %d", slow.n, size)
	}
	if after := rss(t, shim); after > before+2048 {
		t.Errorf("the shim grew from %d to %d kB", before, after)
	}
	task.Delete()
}

type slowWriter struct{ n int }

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.n>>24 != (w.n+len(p))>>24 {
		time.Sleep(10 * time.Millisecond)
	}
	w.n += len(p)
	return len(p), nil
}

// rss is a process's resident memory in kB.
func rss(t *testing.T, pid int) (kB int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// Whoever reads the output may come back after containerd's restart.
func TestOutputOverRestart(t *testing.T) {
	node := harness.New(t, harness.DefaultVersion)
	task := node.Guest(t, "box", "tick", "10", "100").Start()
	task.Expect("\n")
	node.Crash()
	node.Start(t)
	task.Wait().Exits(0)
	if n := strings.Count(task.Stdout(), "\n"); n != 100 {
		t.Errorf("%d lines of 100", n)
	}
	task.Delete()
}

func TestSettings(t *testing.T) {
	node := harness.Shared(t)
	dir := t.TempDir()
	config := func(text string) *runtimeoptions.Options {
		path := filepath.Join(dir, "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return &runtimeoptions.Options{ConfigPath: path}
	}
	node.Guest(t, "hello-c").Options(config("[cache]\ndir = \""+dir+"/cache\"\n")).Run().Is(0, "hello from C\n")
	if entries, err := os.ReadDir(dir + "/cache"); err != nil || len(entries) == 0 {
		t.Errorf("the cache that the settings name: %d entries, %v", len(entries), err)
	}
	node.Guest(t, "hello-c").Options(config("[module]\nmax_size = \"1KiB\"\n")).Refused("1024")
	node.Guest(t, "hello-c").Options(config("colour = \"red\"\n")).Refused("unknown key colour")
	node.Guest(t, "hello-c").Options(&runtimeoptions.Options{ConfigPath: dir + "/none"}).Refused("none")
}

func TestInfo(t *testing.T) {
	cmd := exec.Command(harness.Shim(), "-info")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() != 0 {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var info types.RuntimeInfo
	if err := proto.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	var f features.Features
	if err := json.Unmarshal(info.Features.Value, &f); err != nil || f.Linux == nil || info.Name != "io.containerd.wazero.v1" {
		t.Errorf("%v, %+v, %v", &info, f, err)
	}
	version, err := exec.Command(harness.Shim(), "-v").Output()
	if err != nil || !strings.Contains(string(version), "Version:") {
		t.Errorf("%q, %v", version, err)
	}
}

// The ports that an image exposes are open for a module that accepts on them.
func TestExposedPorts(t *testing.T) {
	node := harness.Shared(t)
	img := harness.GuestsImage(t)
	img.Name = "docker.io/library/exposed:latest"
	img.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}, "53/udp": {}}
	node.Import(t, img)
	run := func(args ...string) *harness.Container { return node.Container(t, img.Name, args...) }
	run("/box.wasm", "get", "LISTEN_FDS").Run().Is(0, "2\n")
	task := run("/box.wasm", "get", "LISTEN_FDS", ",", "wait").Interactive().Start()
	task.Expect("2\n")
	task.Exec("box", "get", "LISTEN_FDS").Run().Exits(1) // unset
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
	run("/box.wasm", "get", "LISTEN_FDS").Annotation("io.containerd.wazero.v1/listen", "none").Run().Exits(1)
	run("/hello-c.wasm").Run().Is(0, "hello from C\n")
}
