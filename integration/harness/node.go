// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/room"
)

// DefaultVersion is the containerd that the shared node runs.
const DefaultVersion = "2.4"

// Node is one containerd with its client.
type Node struct {
	Version   string
	Namespace string
	Address   string
	Client    *client.Client

	cri       bool
	byDefault bool   // the handler is CRI's default
	routed    bool   // the pods' network
	sandboxer string // of the handler, "" for containerd's own way
	mirror    string // of all registries, a URL
	local     bool   // pulls by containerd's client instead of its transfer service
	root      string // containerd's persistent state
	state     string // its run-time state, under /run
	log       string
	env       []string
	cmd       *exec.Cmd
	plain     string  // the version of a configuration without the handler
	keeper    *keeper // of a node with such a configuration

	mu       sync.Mutex
	imported map[string]bool // images, by name
	watched  map[string]bool // tests whose leftovers are looked for, by name
}

// An Option changes a node before its start.
type Option func(*Node)

// WithCRI has the node run the CRI plugin, with a handler "wazero".
// All it makes is in the namespace of CRI.
func WithCRI() Option {
	return func(n *Node) { n.cri, n.Namespace = true, criNamespace }
}

// WithRoutedPods has the node of WithCRI connect its pods by routes instead of a
// bridge.
func WithRoutedPods() Option { return func(n *Node) { n.routed = true } }

// WithDefaultHandler has every pod of WithCRI run by the handler "wazero", also one
// that names no class.
func WithDefaultHandler() Option { return func(n *Node) { n.byDefault = true } }

// WithSandboxer has the handler's pods made in another of containerd's ways ("shim").
func WithSandboxer(name string) Option { return func(n *Node) { n.sandboxer = name } }

// WithMirror has CRI pull all images from one registry ("http://…").
func WithMirror(url string) Option { return func(n *Node) { n.mirror = url } }

// WithLocalPulls has CRI pull as it did before the transfer service
// (use_local_image_pull, from containerd 2.2 on).
func WithLocalPulls() Option { return func(n *Node) { n.local = true } }

// WithEnv adds to containerd's environment ("KEY=value").
func WithEnv(env ...string) Option {
	return func(n *Node) { n.env = append(n.env, env...) }
}

var (
	nodes  atomic.Int32
	shared = struct {
		sync.Mutex
		node *Node
	}{}
)

// Shared is a node of the default version that all tests use which leave it
// as they found it; it ends with the room.
func Shared(t testing.TB) *Node {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.node == nil {
		node := newNode(DefaultVersion)
		node.Start(t)
		shared.node = node
	}
	return shared.node
}

// New starts a node of a version ("1.7", "2.4" …) for one test.
func New(t testing.TB, version string, options ...Option) *Node {
	t.Helper()
	n := newNode(version)
	for _, option := range options {
		option(n)
	}
	n.Start(t)
	t.Cleanup(n.Stop)
	return n
}

func newNode(version string) *Node {
	name := fmt.Sprintf("node%d", nodes.Add(1))
	state := filepath.Join("/run", name)
	return &Node{
		Version:   version,
		Namespace: room.Name() + "-" + name,
		Address:   filepath.Join(state, "containerd.sock"),
		root:      filepath.Join("/var/lib", name),
		state:     state,
		log:       filepath.Join(room.Dir(), name+".log"),
		imported:  map[string]bool{},
		watched:   map[string]bool{},
	}
}

// Start starts containerd and waits until it answers.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	for _, dir := range []string{n.root, n.state} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if n.cri {
		if err := errors.Join(n.configureNetwork(), n.configureMirror()); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.writeConfig(); err != nil {
		t.Fatal(err)
	}
	cmd, err := n.launch(t)
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = cmd
	if n.plain != "" {
		n.keep(t)
	}
	if !soon(Patience, n.connect) {
		t.Fatalf("containerd %s does not answer; the end of its log:\n%s", n.Version, n.tail(0))
	}
}

// launch starts the process.
func (n *Node) launch(t testing.TB) (*exec.Cmd, error) {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(n.program(t, "containerd"), "-c", n.configFile(), "-l", "debug")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append([]string{"PATH=" + n.Path(t), "HOME=/root"}, n.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, cmd.Start()
}

// connect answers whether containerd could be asked for its version.
func (n *Node) connect() bool {
	if _, err := os.Stat(n.Address); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience/10)
	defer cancel()
	if n.Client == nil {
		c, err := client.New(n.Address, client.WithDefaultNamespace(n.Namespace))
		if err != nil {
			return false
		}
		n.Client = c
	} else if err := n.Client.Reconnect(); err != nil {
		return false
	}
	_, err := n.Client.Version(ctx)
	return err == nil
}

// Pid is containerd's.
func (n *Node) Pid() int {
	if n.keeper != nil {
		return n.keeper.pid()
	}
	return n.cmd.Process.Pid
}

// Stop ends containerd as an init system does.
func (n *Node) Stop() { n.End(unix.SIGTERM) }

// Crash kills containerd with SIGKILL; shims and containers live on.
func (n *Node) Crash() { n.End(unix.SIGKILL) }

// End ends containerd by a signal.
func (n *Node) End(signal syscall.Signal) {
	if n.keeper != nil {
		n.keeper.end(signal)
		n.keeper, n.cmd = nil, nil
		return
	}
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(signal)
	_ = n.cmd.Wait()
	n.cmd = nil
}

// Upgrade stops containerd and starts another version on the same state.
func (n *Node) Upgrade(t testing.TB, version string) {
	t.Helper()
	n.Stop()
	n.Version = version
	n.Start(t)
}

// ctx is a context that ends with a helper's patience.
func (n *Node) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Patience)
}

// program is the path of a program that belongs to the node's version.
func (n *Node) program(t testing.TB, name string) string {
	t.Helper()
	return Built(t, "stack", "containerd-"+n.Version, "bin", name)
}

// Path has the shim under test first, then the stack, then the machine's.
func (n *Node) Path(t testing.TB) string {
	t.Helper()
	return strings.Join([]string{
		filepath.Dir(Shim()),
		filepath.Dir(n.program(t, "containerd")),
		Built(t, "stack", "runc", "bin"),
		"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}, ":")
}

// Ctr runs the version's own ctr on the node.
func (n *Node) Ctr(t testing.TB, args ...string) *Result {
	t.Helper()
	n.watch(t)
	ctx, cancel := n.ctx()
	defer cancel()
	cmd := exec.CommandContext(ctx, n.program(t, "ctr"),
		append([]string{"--address", n.Address, "--namespace", n.Namespace}, args...)...)
	cmd.Env = []string{"PATH=" + n.Path(t), "HOME=/root", "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("ctr %v did not end within %s; stdout %q, stderr %q", args, Patience, stdout.String(), stderr.String())
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return &Result{
		t: t, what: "ctr " + strings.Join(args, " "),
		Status: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String(),
	}
}

// OpenFiles counts containerd's open descriptors.
func (n *Node) OpenFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Log is what containerd and its shims have logged so far.
func (n *Node) Log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tail is the end of the log, from an offset on, without the noise of a start
// and of snapshots.
func (n *Node) tail(from int64) string {
	const most = 16384
	b, _ := os.ReadFile(n.log)
	var lines []string
	for _, line := range strings.Split(string(b[min(from, int64(len(b))):]), "\n") {
		if !strings.Contains(line, "loading plugin") && !strings.Contains(line, " snapshot") {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "\n")
	return text[max(0, len(text)-most):]
}
