// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/fork"
	"containerd-shim-wazero/sandbox/seccomp"
)

// terminalBox is a container with a terminal, and the near end of that.
func terminalBox(t *testing.T, args ...string) (*box, console.Console) {
	t.Helper()
	b := newBox(t, args...)
	b.config.Process.Terminal = true
	b.config.Process.User = config.User{UID: 1000, GID: 1000}
	near, name, err := console.NewPty()
	must(t, err)
	far, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer far.Close()
	ctx := testContext(t)
	c, p, err := Create(ctx, b.config, Stdio{far, far, far}, Options{Cache: node.cache, Log: b.log.add})
	must(t, err)
	b.Container, b.init = c, p
	t.Cleanup(func() {
		must(t, c.Delete(ctx))
		b.nothingLeft()
		_ = near.Close()
	})
	must(t, p.Start(ctx))
	return b, near
}

// TestTerminal: the keys of a terminal do to a guest, a spinning one too, what
// they do to a program without handlers; but nothing stops it.
func TestTerminal(t *testing.T) {
	for key, status := range map[string]uint32{"\x03": 130, "\x1c": 131} {
		for _, guest := range []string{"spin", "wait"} {
			b, terminal := terminalBox(t, "tty", ",", "append", "/dev/console", "console", ",", "echo", "up", ",", guest)
			shown := readUntil(t, terminal, "up")
			if !strings.Contains(shown, "0") || !strings.Contains(shown, "2") || !strings.Contains(shown, "console") {
				t.Errorf("the guest does not see a terminal: %q", shown)
			}
			_, err := terminal.Write([]byte("\x1a")) // Ctrl-Z
			must(t, err)
			readUntil(t, terminal, "^Z")
			if s := processState(b.init.Pid()); s == "T" {
				t.Error("Ctrl-Z stopped the guest")
			}
			_, err = terminal.Write([]byte(key))
			must(t, err)
			if got := wait(t, b.init); got != status {
				t.Errorf("%s: key %q gives status %d, want %d", guest, key, got, status)
			}
		}
	}
}

// TestHangUp: when the terminal's near end is gone, so is the guest.
func TestHangUp(t *testing.T) {
	b, terminal := terminalBox(t, "echo", "up", ",", "spin")
	readUntil(t, terminal, "up")
	must(t, terminal.Close())
	if got := wait(t, b.init); got != 129 {
		t.Errorf("status %d", got)
	}
}

func readUntil(t *testing.T, f io.Reader, words string) string {
	t.Helper()
	var all []byte
	buf := make([]byte, 256)
	for !strings.Contains(string(all), words) {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("reading %q after %q: %v", words, all, err)
		}
		all = append(all, buf[:n]...)
	}
	return string(all)
}

// TestRelabel executes a sandbox process once more between its mounts and its
// module, as for a label of an LSM, which this kernel may not have.
func TestRelabel(t *testing.T) {
	b := newBox(t, "spin").start()
	spec, err := b.init.joining()
	must(t, err)
	defer spec.Join[0].Namespace.Close()
	stdout, end := newOutput(t)
	p := boxProcess("echo", "again")
	proc, err := b.spawn(spec, &p, Stdio{nil, end, end})
	end.Close()
	must(t, err)
	exe, err := fork.Self()
	must(t, err)
	hostProc, err := os.Open("/proc")
	must(t, err)
	defer hostProc.Close()
	must(t, proc.conn.Send(control.TypeLabel, control.Label{}, exe, hostProc))
	filter, err := seccomp.Build(nil)
	must(t, err)
	must(t, proc.introduce(testContext(t), nil, nil, &p, filter))
	must(t, proc.Start(testContext(t)))
	if status := wait(t, proc); status != 0 || stdout.all(t) != "again\n" {
		t.Errorf("status %d, output %q", status, stdout.all(t))
	}
	p.SELinuxLabel = "system_u:system_r:nonsense_t:s0"
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err != nil {
		if _, _, err := b.exec(p); err == nil || !strings.Contains(err.Error(), "SELinux label") {
			t.Errorf("a label without SELinux: %v", err)
		}
	}
	p = boxProcess("true")
	p.AppArmorProfile = "no-such-profile"
	if _, _, err := b.exec(p); err == nil || !strings.Contains(err.Error(), `AppArmor profile "no-such-profile"`) {
		t.Errorf("a profile that is not there: %v", err)
	}
}
