// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/config"
)

// The test binary is the compile process as well.
func TestMain(m *testing.M) {
	if os.Getenv(config.RoleEnv) == config.RoleCompile {
		if os.Getenv(confinedEnv) != "" {
			beConfined()
		}
		Main()
	}
	os.Exit(m.Run())
}

// tiny is (module (func (export "_start"))).
const tiny = "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00" +
	"\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b"

func newCache(t *testing.T) *cache.Cache {
	t.Helper()
	c, err := cache.Open(filepath.Join(t.TempDir(), "cache"), cache.Options{Compile: Process})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func moduleFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestProcess(t *testing.T) {
	c, name := newCache(t), moduleFile(t, tiny)
	for _, cached := range []bool{false, true} {
		got, err := precompile(context.Background(), c, 1<<20, name)
		if err != nil || got != cached {
			t.Errorf("cached is %v, want %v (%v)", got, cached, err)
		}
	}
}

func TestProcessRefuses(t *testing.T) {
	c := newCache(t)
	for content, want := range map[string]string{
		tiny[:20]:         "m.wasm is not a valid module: ",
		tiny + "\x0bjunk": "m.wasm is not a valid module: ",
	} {
		for range 2 { // the second time from the cache
			_, err := precompile(context.Background(), c, 1<<20, moduleFile(t, content))
			if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		}
	}
}

// A count that needs more memory than there is, for names that are not there.
func TestProcessOutOfMemory(t *testing.T) {
	names := "\x00\x00\x00\x04name\x01\x05\xff\xff\xff\xff\x0f"
	bomb := "\x00asm\x01\x00\x00\x00" + "\x00" + string(rune(len(names)-3)) + names[3:]
	_, err := precompile(context.Background(), newCache(t), 1<<20, moduleFile(t, bomb))
	t.Log(err)
	if err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("error %v, want one about memory", err)
	}
	if err != nil && (strings.Contains(err.Error(), "goroutine") || strings.Contains(err.Error(), "\n")) {
		t.Errorf("the error is no sentence: %v", err)
	}
}

// Giving up kills the process: nothing of it is left.
func TestProcessGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in, out := openPair(t, tiny)
	if err := Process(ctx, in, out); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// What a compile process may do is nothing but read its module and write its
// image, on every thread.
func TestConfined(t *testing.T) {
	in, out := openPair(t, tiny)
	verdict, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer verdict.Close()
	cmd := command(context.Background(), in, out, write)
	cmd.Env = append(cmd.Env, confinedEnv+"=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	dir := fmt.Sprintf("/proc/%d", cmd.Process.Pid)
	line := make([]byte, 200)
	n, _ := verdict.Read(line)
	if string(line[:n]) != "confined" {
		cmd.Wait()
		t.Fatalf("it says %q, %s", line[:n], stderr.String())
	}
	tasks, err := filepath.Glob(dir + "/task/*/status")
	if err != nil || len(tasks) < 2 {
		t.Errorf("threads %q (%v)", tasks, err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that ended
		}
		for _, want := range []string{
			"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "Groups:\t \n",
			"CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n",
			"CapBnd:\t0000000000000000\n", "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n",
		} {
			if !strings.Contains(string(status), want) {
				t.Errorf("%s has no %q:\n%s", task, want, status)
			}
		}
	}
	for _, ns := range []string{"net", "pid", "mnt", "ipc", "uts"} {
		own, _ := os.Readlink("/proc/self/ns/" + ns)
		its, err := os.Readlink(dir + "/ns/" + ns)
		if err != nil || own == its {
			t.Errorf("namespace %s is %q, ours is %q (%v)", ns, its, own, err)
		}
	}
	if entries, err := os.ReadDir(dir + "/root"); err != nil || len(entries) != 0 {
		t.Errorf("its root holds %v (%v)", entries, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	cmd.Wait()
}

// confinedEnv makes a compile process stop once it is confined.
const confinedEnv = "COMPILE_TEST_CONFINED"

func beConfined() {
	if err := confine(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.NewFile(fdVerdict, "verdict").WriteString("confined")
	select {}
}

func openPair(t *testing.T, content string) (in, out *os.File) {
	t.Helper()
	in, err := os.Open(moduleFile(t, content))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err = os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return in, out
}

func TestPrecompile(t *testing.T) {
	good, bad := moduleFile(t, tiny), moduleFile(t, "(module)")
	var log strings.Builder
	err := Precompile(context.Background(), newCache(t), 1<<20, []string{bad, good, "/does/not/exist", good}, &log)
	if err == nil || !strings.Contains(err.Error(), "is text") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if text := log.String(); !strings.Contains(text, good+": compiled in ") || !strings.Contains(text, good+": in the cache already\n") {
		t.Errorf("log %q", text)
	}
}

func TestJudge(t *testing.T) {
	ended := errors.New("exit status 2")
	tests := []struct {
		verdict string
		ended   error
		log     string
		want    string
	}{
		{"d", nil, "", ""},
		{"ris bad\x1b[2J\nreally", nil, "", "is bad [2J really"},
		{"fno space", nil, "", "no space"},
		{"", nil, "", "the compile process failed: it ended without a verdict: "},
		{"d", ended, "panic: x\ngoroutine 1", "the compile process failed: exit status 2: panic: x"},
		{"", ended, "fatal error: runtime: out of memory\n", "it needs more than the 5 GiB of memory that compiling may take"},
		{"x", nil, "", "the compile process failed: it ended without a verdict: "},
	}
	for _, tt := range tests {
		got := ""
		if err := judge([]byte(tt.verdict), tt.ended, tt.log); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("judge(%q, %v, %q) is %q, want %q", tt.verdict, tt.ended, tt.log, got, tt.want)
		}
	}
}
