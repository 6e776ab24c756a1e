// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/compile"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/fork"
	"containerd-shim-wazero/sandbox/stage"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// node is what all tests share: the cache, in a folder that ends with them.
var node struct {
	cache *cache.Cache
}

// TestMain is also every process that a sandbox consists of.
func TestMain(m *testing.M) {
	switch os.Getenv(config.RoleEnv) {
	case config.RoleSandbox:
		stage.Main()
	case config.RoleCompile:
		compile.Main()
	}
	if os.Getenv(parentRole) != "" {
		parent()
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests make namespaces and cgroups: run them as root")
		return 1
	}
	if out, err := exec.Command("../hack/guests.sh").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the guests: %v\n%s", err, out)
		return 1
	}
	dir, err := os.MkdirTemp("", "sandbox-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	node.cache, err = cache.Open(filepath.Join(dir, "cache"), cache.Options{Compile: compile.Process})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// What is opened once is no leak of the test that comes first.
	_, err = fork.Self()
	_, nerr := devNull()
	poller, other, perr := control.Pair()
	if err := errors.Join(err, nerr, perr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	poller.Close()
	other.Close()
	return m.Run()
}

// box is one container under test.
type box struct {
	t      testing.TB
	config *config.Container
	*Container
	init           *Process
	stdout, stderr *output
	log            *lines
}

// guest returns the bytes of a compiled guest.
func guest(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../build/guests/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newBox is a bundle with box.wasm in a root of its own, and a configuration
// as a small spec would give it.
func newBox(t testing.TB, args ...string) *box {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "rootfs")
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	must(t, os.MkdirAll(filepath.Join(root, "tmp"), 0o755))
	must(t, os.Chmod(filepath.Join(root, "tmp"), 0o1777))
	must(t, os.WriteFile(filepath.Join(root, "box.wasm"), guest(t, "box"), 0o755))
	id := "sandbox-test-" + strings.ReplaceAll(filepath.Base(dir)+filepath.Base(filepath.Dir(dir)), "/", "-")
	isNew := config.Namespace{New: true}
	return &box{t: t, log: &lines{}, config: &config.Container{
		ID:     id,
		Bundle: dir,
		Root:   config.Root{Path: root},
		Namespaces: config.Namespaces{
			Mount: isNew, Net: isNew, PID: isNew, IPC: isNew, UTS: isNew, Cgroup: isNew,
		},
		Hostname: "box",
		Cgroup:   config.Cgroup{Path: "/" + id, Resources: &specs.LinuxResources{}},
		Process:  boxProcess(args...),
	}}
}

func boxProcess(args ...string) config.Process {
	return config.Process{
		Kind:            config.Wasm,
		Module:          config.Module{Path: "/box.wasm", MaxSize: 256 << 20},
		Args:            append([]string{"/box.wasm"}, args...),
		Env:             []string{"PATH=/bin"},
		Cwd:             "/",
		NoNewPrivileges: true,
		Network:         config.Network{Grants: policy.Free()},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// output collects what comes through a pipe.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	done chan struct{}
}

func newOutput(t testing.TB) (*output, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	o := &output{done: make(chan struct{})}
	go func() {
		defer close(o.done)
		defer r.Close()
		_, _ = io.Copy(o, r)
	}()
	return o, w
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) now() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// all waits for the end.
func (o *output) all(t testing.TB) string {
	t.Helper()
	select {
	case <-o.done:
	case <-time.After(time.Minute):
		t.Fatal("an output does not end")
	}
	return o.now()
}

type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// tryCreate creates the container and has it deleted when the test ends.
func (b *box) tryCreate(stdin *os.File) error {
	b.t.Helper()
	stdout, outEnd := newOutput(b.t)
	stderr, errEnd := newOutput(b.t)
	defer outEnd.Close()
	defer errEnd.Close()
	b.stdout, b.stderr = stdout, stderr
	ctx := testContext(b.t)
	c, p, err := Create(ctx, b.config, Stdio{stdin, outEnd, errEnd}, Options{Cache: node.cache, Log: b.log.add})
	if err != nil {
		return err
	}
	b.Container, b.init = c, p
	b.t.Cleanup(func() {
		if err := c.Delete(ctx); err != nil {
			b.t.Errorf("delete: %v", err)
		}
		b.nothingLeft()
	})
	return nil
}

func (b *box) create() *box {
	b.t.Helper()
	if err := b.tryCreate(nil); err != nil {
		b.t.Fatalf("create: %v\n%s", err, b.log)
	}
	return b
}

func (b *box) start() *box {
	b.t.Helper()
	b.create()
	must(b.t, b.init.Start(testContext(b.t)))
	return b
}

// run runs the container to its end.
func (b *box) run() (status uint32, stdout string) {
	b.t.Helper()
	b.start()
	return wait(b.t, b.init), b.stdout.all(b.t)
}

func wait(t testing.TB, p *Process) uint32 {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		t.Fatalf("process %d does not end", p.Pid())
	}
	return p.Exit().Status
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// nothingLeft checks that a container has left nothing on the host.
func (b *box) nothingLeft() {
	b.t.Helper()
	if _, err := os.Stat(filepath.Join(b.config.Bundle, recordName)); !os.IsNotExist(err) {
		b.t.Errorf("the record is left (%v)", err)
	}
	left, _ := filepath.Glob("/sys/fs/cgroup/*" + b.config.Cgroup.Path)
	more, _ := filepath.Glob("/sys/fs/cgroup" + b.config.Cgroup.Path)
	if left = append(left, more...); len(left) > 0 {
		b.t.Errorf("cgroups are left: %v", left)
	}
	if b.init != nil && unix.Kill(b.init.pid, 0) == nil {
		b.t.Errorf("process %d is left", b.init.pid)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(b.t, err)
	if strings.Contains(string(mounts), b.config.Bundle) {
		b.t.Errorf("mounts are left below %s", b.config.Bundle)
	}
}

// exec runs a process in the container to where it is ready.
func (b *box) exec(p config.Process) (*Process, *output, error) {
	b.t.Helper()
	stdout, end := newOutput(b.t)
	defer end.Close()
	proc, err := b.Exec(testContext(b.t), &p, Stdio{nil, end, end})
	return proc, stdout, err
}

// runExec runs a process in the container to its end.
func (b *box) runExec(p config.Process) (uint32, string) {
	b.t.Helper()
	proc, out, err := b.exec(p)
	must(b.t, err)
	must(b.t, proc.Start(testContext(b.t)))
	status := wait(b.t, proc)
	return status, out.all(b.t)
}
