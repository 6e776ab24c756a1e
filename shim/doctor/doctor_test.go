// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestKernelRelease(t *testing.T) {
	for release, want := range map[string]Level{
		"6.1.0-18-amd64": Fine, "5.15.0": Fine, "5.14.21": Missing, "4.19": Missing, "10.0": Fine, "odd": Missing,
	} {
		if got := kernelRelease(release); got.Level != want {
			t.Errorf("%s: %+v", release, got)
		}
	}
}

func TestControllers(t *testing.T) {
	if got := controllers("2", []string{"cpuset", "cpu", "io", "memory", "pids"}); got[0].Level != Fine {
		t.Errorf("%+v", got)
	}
	if got := controllers("2", []string{"cpu", "pids"}); got[0].Level != Note || !strings.Contains(got[0].Text, "memory") {
		t.Errorf("%+v", got)
	}
}

func TestContainerdSupported(t *testing.T) {
	for text, want := range map[string]Level{
		"containerd github.com/containerd/containerd/v2 v2.4.2 abc": Fine,
		"containerd github.com/containerd/containerd 1.7.35 abc":    Fine,
		"containerd github.com/containerd/containerd 1.6.20~ds1":    Missing,
		"containerd from a tree of one's own":                       Fine,
	} {
		if got := containerdSupported("containerd", text); got.Level != want {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "b", "prog")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := lookPath(dir+"/a:"+dir+"/b", "prog"); got != file {
		t.Errorf("%q", got)
	}
	if got := lookPath(dir+"/a", "prog"); got != "" {
		t.Errorf("%q", got)
	}
}

// A process that only has the name is not run, as root least of all.
func TestOpen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("starts processes of other users")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		mode os.FileMode
		attr syscall.SysProcAttr
		says string // "" for one that is run
	}{
		{"root's", 0o755, syscall.SysProcAttr{}, ""},
		{"a user's", 0o755, syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, "another user's"},
		{"a container's", 0o755, syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}, "mount namespace"},
		{"one that others write", 0o777, syscall.SysProcAttr{}, "others may write"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "containerd")
			if err := os.WriteFile(path, text, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, mode := range map[string]os.FileMode{path: c.mode, filepath.Dir(dir): 0o755} {
				if err := os.Chmod(name, mode); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(path, "60")
			cmd.SysProcAttr = &c.attr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
			pid := strconv.Itoa(cmd.Process.Pid)
			f, err := open(filepath.Join("/proc", pid))
			if err == nil {
				f.Close()
			}
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			refused := slices.ContainsFunc(containerd(t.Context()), func(f Finding) bool {
				return f.Level == Note && strings.HasPrefix(f.Text, "process "+pid+" is not looked at")
			})
			if refused != (c.says != "") {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}

func TestExamine(t *testing.T) {
	var out bytes.Buffer
	if _, err := Examine(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"kernel", "cgroups", "seccomp", "containerd", "cache"} {
		if !strings.Contains(out.String(), subject) {
			t.Errorf("nothing about %s in\n%s", subject, out.String())
		}
	}
}
