// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const k3s = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"

// table plants a procfs of processes: a real user, with + in a pid namespace below and
// with ^ a child of the process before, and a command.
func table(t *testing.T, processes ...string) Host {
	t.Helper()
	proc := t.TempDir()
	if err := os.Mkdir(filepath.Join(proc, "sys"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, line := range processes {
		uid, command, _ := strings.Cut(line, " ")
		uid, nested := strings.CutSuffix(uid, "+")
		parent := 1
		if child, is := strings.CutSuffix(uid, "^"); is {
			uid, parent = child, 1<<30+i-1
		}
		namespaces := "7"
		if nested {
			namespaces = "7\t1"
		}
		state := "S"
		if strings.HasSuffix(command, "<defunct>") {
			state = "Z"
		}
		dir := filepath.Join(proc, fmt.Sprint(1<<30+i)) // no process has such a pid
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"cmdline": strings.ReplaceAll(command, " ", "\x00") + "\x00",
			"status":  "Name:\tx\nUid:\t" + uid + "\t0\t0\t0\nNSpid:\t" + namespaces + "\n",
			"stat":    fmt.Sprintf("7 (a) b) %s %d 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 9 0 %d 1 1", state, parent, 100+i),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return Host{Proc: proc, Config: defaultConfig, Settled: 20 * time.Millisecond, Patience: 200 * time.Millisecond}
}

func TestContainerd(t *testing.T) {
	for _, c := range []struct {
		name, config string
		processes    []string
		found        int // which of them, -1 for none
	}{
		{"a plain one", defaultConfig, []string{"0 /sbin/init", "0 /usr/bin/containerd"}, 1},
		{"Docker's own beside it", defaultConfig, []string{"0 containerd --config /var/run/docker/containerd/containerd.toml", "0 /usr/bin/containerd"}, 1},
		{"named by its file", defaultConfig, []string{"0 /usr/bin/containerd -l debug --config=/etc/containerd/config.toml"}, 0},
		{"k3s's", k3s, []string{"0 /usr/bin/containerd", "0 containerd -c " + k3s}, 1},
		{"none of k3s", k3s, []string{"0 /usr/bin/containerd", "0 /usr/local/bin/k3s server"}, -1},
		{"a container's", defaultConfig, []string{"0+ containerd"}, -1},
		{"a user's", defaultConfig, []string{"1000 containerd"}, -1},
		{"a command of it", defaultConfig, []string{"0 /usr/bin/containerd config dump", "0 /usr/bin/containerd --address /run/c.sock publish --topic x"}, -1},
		{"a dead one", defaultConfig, []string{"0 containerd <defunct>"}, -1},
		{"its child, not yet executed", defaultConfig, []string{"0 containerd", "0^ containerd"}, 0},
		{"a shim", defaultConfig, []string{"0 /usr/bin/containerd-shim-runc-v2 -id x"}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := table(t, c.processes...)
			h.Config = c.config
			got, err := h.containerd()
			if err != nil {
				t.Fatal(err)
			}
			if c.found < 0 != (got == nil) || got != nil && got.pid != 1<<30+c.found {
				t.Errorf("found %+v", got)
			}
		})
	}
	if _, err := table(t, "0 containerd", "0 /usr/bin/containerd").containerd(); err == nil || !strings.Contains(err.Error(), "both") {
		t.Errorf("two: %v", err)
	}
}

func TestShims(t *testing.T) {
	const shim = "/opt/wazero/containerd-shim-wazero-v1"
	h := table(t, "0 "+shim+" -id a", "0 "+shim+" -id b", "0 /usr/local/bin/containerd-shim-wazero-v1 -id c", "0+ "+shim, "0 sh "+shim)
	if n, err := h.Shims(shim); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestRestart(t *testing.T) {
	// One that has come since it was ended; the pid that gets the signal is nobody's.
	h := table(t, "0 containerd")
	go func() {
		_ = os.RemoveAll(filepath.Join(h.Proc, fmt.Sprint(1<<30)))
		_ = os.Rename(filepath.Join(table(t, "0 sh", "0 containerd").Proc, fmt.Sprint(1<<30+1)), filepath.Join(h.Proc, fmt.Sprint(1<<30+1)))
	}()
	if err := h.Restart(context.Background()); err != nil {
		t.Error(err)
	}
	// One that does not go.
	if err := table(t, "0 containerd").Restart(context.Background()); err == nil || !strings.Contains(err.Error(), "was ended") {
		t.Errorf("stays: %v", err)
	}
	// None, and nobody starts one.
	if err := table(t).Restart(context.Background()); err == nil || !strings.Contains(err.Error(), "no containerd with "+defaultConfig) {
		t.Errorf("none: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := table(t).Restart(ctx); err != context.Canceled {
		t.Errorf("told to stop: %v", err)
	}
}

// Two at once, after one was ended, may be so for a moment only.
func TestRestartSeesTwo(t *testing.T) {
	ended := exec.Command("sleep", "100")
	if err := ended.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ended.Process.Kill() })
	h := table(t, "0 containerd", "0 containerd")
	h.Patience = time.Second
	second := filepath.Join(h.Proc, fmt.Sprint(1<<30+1))
	for from, to := range map[string]string{
		filepath.Join(h.Proc, fmt.Sprint(1<<30)): filepath.Join(h.Proc, fmt.Sprint(ended.Process.Pid)),
		second:                                   filepath.Join(h.Proc, "not yet"),
	} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		_ = ended.Wait()
		_ = os.Rename(filepath.Join(h.Proc, "not yet"), second)
	}()
	begin := time.Now()
	err := h.Restart(context.Background())
	if took := time.Since(begin); err == nil || !strings.Contains(err.Error(), "both") || took < h.Patience {
		t.Errorf("after %s: %v", took, err)
	}
}
