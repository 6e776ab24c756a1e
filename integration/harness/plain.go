// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/room"
)

// PlainConfig is the configuration file of a node of WithPlainConfig.
const PlainConfig = "/etc/containerd/config.toml"

// WithPlainConfig has the node's containerd read a file of that version at its usual
// place which knows nothing of the runtime, and start again whenever it ends, as
// an init system has it.
func WithPlainConfig(version string) Option { return func(n *Node) { n.plain = version } }

// writeConfig writes the file that containerd is started with.
func (n *Node) writeConfig() error {
	path := n.configFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, n.config(), 0o644)
}

// keeper starts containerd again whenever it ends by itself.
type keeper struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	ended bool
	done  chan struct{}
}

// keep has the node's containerd looked after.
func (n *Node) keep(t testing.TB) {
	k := &keeper{cmd: n.cmd, done: make(chan struct{})}
	n.keeper = k
	go func() {
		defer close(k.done)
		for {
			_ = k.cmd.Wait()
			k.mu.Lock()
			if k.ended {
				k.mu.Unlock()
				return
			}
			cmd, err := n.launch(t)
			if err != nil {
				k.mu.Unlock()
				t.Errorf("start containerd again: %v", err)
				return
			}
			k.cmd = cmd
			k.mu.Unlock()
		}
	}()
}

// pid is the process that runs now.
func (k *keeper) pid() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cmd.Process.Pid
}

// end ends it for good.
func (k *keeper) end(signal syscall.Signal) {
	k.mu.Lock()
	k.ended = true
	_ = k.cmd.Process.Signal(signal)
	k.mu.Unlock()
	<-k.done
}

// Hide puts empty folders in place of the room's until the test ends.
func Hide(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		dir, err := os.MkdirTemp(room.Dir(), "hidden-")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{dir, path} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Mount(dir, path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	}
}
