// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/preview1"
	"containerd-shim-wazero/sandbox/wasi/resolve"
)

// Guests of these tests run in processes of their own, so that one that waits
// for ever can be killed: the test binary, executed again as a host.

// hostEnv holds the host's configuration when the test binary is a host.
const hostEnv = "WASMEDGE_TEST_HOST"

// host is what a guest is given.
type host struct {
	Wasm, Cache string
	Args, Env   []string
	Grants      policy.Grants
	Preopen     []policy.ListenRule
	Root        string // directory that is "/" to the guest, "" for none
}

func TestMain(m *testing.M) {
	if config := os.Getenv(hostEnv); config != "" {
		os.Exit(runHost(config))
	}
	if os.Getenv(nativeEnv) != "" {
		os.Exit(serveNative())
	}
	code := m.Run()
	if dir := buildDir; dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func runHost(config string) int {
	var h host
	if err := json.Unmarshal([]byte(config), &h); err != nil {
		panic(err)
	}
	err := h.run(context.Background())
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return int(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		return 125
	}
	return 0
}

func (h *host) run(ctx context.Context) error {
	code, err := os.ReadFile(h.Wasm)
	if err != nil {
		return err
	}
	cache, err := wazero.NewCompilationCacheWithDir(h.Cache)
	if err != nil {
		return err
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	guest, err := runtime.CompileModule(ctx, code)
	if err != nil {
		return err
	}
	root := "/"
	cfg := wasi.Config{Args: h.Args, Env: h.Env, Stdin: -1, Stdout: 1, Stderr: 2}
	if h.Root != "" {
		root = h.Root
		cfg.Preopens = []wasi.Preopen{{Path: h.Root, Name: "/", Root: true}}
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	judge := policy.New(h.Grants, func(rule string) { fmt.Fprintln(os.Stderr, "refused:", rule) })
	network := net.New(judge, resolve.New(resolve.InRoot(dir)))
	network.OpenDir = func(path string, _ bool) (int, net.Errno) {
		fd, err := unix.Openat2(dir, path, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS})
		if err != nil {
			return -1, err.(syscall.Errno)
		}
		return fd, 0
	}
	listeners, err := network.Listen(h.Preopen)
	if err != nil {
		return err
	}
	var names []string
	for _, l := range listeners {
		cfg.Listeners = append(cfg.Listeners, wasi.Listener{Socket: l.Socket, Name: l.Name})
		names = append(names, l.Name)
	}
	if len(names) > 0 {
		cfg.Env = append(cfg.Env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	system, err := wasi.New(cfg)
	if err != nil {
		return err
	}
	if err := preview1.Instantiate(ctx, runtime, system, guest, Extend(network)); err != nil {
		return err
	}
	network.Begin()
	_, err = runtime.InstantiateModule(ctx, guest, wazero.NewModuleConfig())
	return err
}

// process is a guest that runs.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// start runs a guest; it is killed at the end of the test.
func start(t testing.TB, h host) *process {
	t.Helper()
	h.Cache = filepath.Join(buildDir, "cache")
	config, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command("/proc/self/exe")}
	p.cmd.Env = []string{hostEnv + "=" + string(config)}
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		if t.Failed() && p.stderr.Len() > 0 {
			t.Logf("%s wrote:\n%s", strings.Join(h.Args, " "), p.stderr.String())
		}
	})
	return p
}

// line reads the next line that the guest writes.
func (p *process) line(t testing.TB) string {
	t.Helper()
	s, err := p.stdout.ReadString('\n')
	if err != nil {
		p.cmd.Wait()
		t.Fatalf("the guest wrote %q and ended: %v\n%s", s, err, p.stderr.String())
	}
	return strings.TrimSuffix(s, "\n")
}

// memory is the resident memory of the process in kB.
func (p *process) memory(t testing.TB) (kB int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}

// run runs a guest to its end.
func run(t testing.TB, h host) (stdout, stderr string, code int) {
	t.Helper()
	p := start(t, h)
	timer := time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	out, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
	return string(out), p.stderr.String(), p.cmd.ProcessState.ExitCode()
}

// buildDir holds guests and what wazero compiled of them.
var buildDir string

var built = struct {
	sync.Mutex
	guests map[string]string
}{guests: make(map[string]string)}

// guestDir is where the guests' sources are.
const guestDir = "../../../integration/guests-net"

// build compiles a Go guest with build tags and gives its file.
func build(t testing.TB, name, tags string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	key := name + "-" + tags
	if path := built.guests[key]; path != "" {
		return path
	}
	path := filepath.Join(outputDir(t), key+".wasm")
	cmd := exec.Command("go", "build", "-tags", tags, "-ldflags=-s -w", "-o", path, ".")
	cmd.Dir = filepath.Join(guestDir, name)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build of %s: %v\n%s", name, err, out)
	}
	built.guests[key] = path
	return path
}

func outputDir(t testing.TB) string {
	if buildDir == "" {
		dir, err := os.MkdirTemp("", "wasmedge-guests")
		if err != nil {
			t.Fatal(err)
		}
		buildDir = dir
	}
	return buildDir
}
