// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
	"containerd-shim-wazero/integration/room"
)

// scratch is a folder on the room's disk.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(room.Dir(), "tmp"), "bundle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func put(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMounts(t *testing.T) {
	node, dir := harness.Shared(t), scratch(t)
	put(t, dir+"/f", "of the host\n", 0o644)
	hosts := put(t, dir+"/hosts", "10.1.2.3 db\n", 0o644)
	node.Guest(t, "box", "cat", "/data/f", ",", "write", "/data/g", "of the guest").Bind(dir, "/data").Run().Is(0, "of the host\n")
	if body, err := os.ReadFile(dir + "/g"); err != nil || string(body) != "of the guest" {
		t.Errorf("what a guest wrote: %q, %v", body, err)
	}
	node.Guest(t, "box", "cat", "/data/f", ",", "try", "write", "/data/h", "x", ",", "try", "rm", "/data/f").Bind(dir, "/data", "ro").Run().
		Is(0, "of the host\nbox: /data/h: Read-only file system\nbox: /data/f: Read-only file system\n")
	node.Guest(t, "box", "cat", "/etc/hosts", "/etc/resolv.conf").
		Bind(hosts, "/etc/hosts", "ro").Bind(put(t, dir+"/resolv", "nameserver 10.0.0.1\n", 0o644), "/etc/resolv.conf", "ro").
		Run().Is(0, "10.1.2.3 db\nnameserver 10.0.0.1\n")
	node.Guest(t, "box", "fill", "/t/a", "1", ",", "try", "fill", "/t/b", "4").
		Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/t", Options: []string{"size=2m"}}).Run().
		Is(0, "wrote 1 MB\nbox: /t/b: No space left on device\n")
	node.Guest(t, "box", "try", "write", "/new", "x", ",", "write", "/data/k", "x").With(oci.WithRootFSReadonly()).Bind(dir, "/data").Run().
		Is(0, "box: /new: Read-only file system\n")
}

// TestStatus reads what the kernel says of every thread, for the profiles of
// seccomp that clients use, first process and exec alike.
func TestStatus(t *testing.T) {
	node := harness.Shared(t)
	for name, profile := range map[string]oci.SpecOpts{
		"Docker's default": seccomp.WithDefaultProfile(),
		"unconfined":       oci.Compose(),
		"custom": func() oci.SpecOpts {
			path := put(t, scratch(t)+"/profile", `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["fsync","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`, 0o644)
			return seccomp.WithProfile(path)
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			task := node.Guest(t, "box", "try", "mkdir", "/tmp/d", ",", "echo", "up", ",", "spin").User(1000, 1000, 2000).With(profile).
				Spec(func(s *specs.Spec) {
					caps := []string{"CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN", "CAP_FOWNER"}
					s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps, Inheritable: caps, Ambient: caps[:2]}
				}).Start()
			task.Expect("up")
			if denied := strings.Contains(task.Stdout(), "Operation not permitted"); denied != (name == "custom") {
				t.Errorf("stdout %q", task.Stdout())
			}
			other := task.Exec("box", "echo", "up", ",", "spin").Start()
			other.Expect("up")
			for _, pid := range []int{task.Pid(), other.Pid()} {
				threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
				if err != nil || len(threads) < 2 {
					t.Fatalf("threads %v, %v", threads, err)
				}
				for _, thread := range threads {
					status, err := os.ReadFile(thread)
					if err != nil {
						t.Fatal(err)
					}
					text := strings.Join(strings.Fields(string(status)), " ")
					for _, want := range []string{"Uid: 1000 1000 1000 1000", "Gid: 1000 1000 1000 1000", "Groups: 2000",
						"CapEff: 0000000000000400", "CapPrm: 0000000000000400", "NoNewPrivs: 1", "Seccomp: 2"} {
						if !strings.Contains(text, want) {
							t.Errorf("%s: no %q in %s", thread, want, text)
						}
					}
				}
			}
			other.Kill(syscall.SIGKILL)
			other.Wait()
			other.Delete()
			task.Kill(syscall.SIGKILL)
			task.Wait()
			task.Delete()
		})
	}
}

// TestPortEighty: a user's port below 1024, where the bundle's sysctl allows it.
func TestPortEighty(t *testing.T) {
	node := harness.Shared(t)
	reach := func() *harness.Container {
		return node.Guest(t, "reach", "listen", "0.0.0.0", "80").User(1000, 1000)
	}
	reach().Run().Is(0, "listen: Permission denied\n")
	reach().Spec(func(s *specs.Spec) {
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}
	}).Run().Is(0, "listen: ok\n")
}

// TestSharedNamespaces joins the namespaces of another container by path.
func TestSharedNamespaces(t *testing.T) {
	node := harness.Shared(t)
	first := node.Guest(t, "box", "wait").Interactive().Start()
	files := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.PIDNamespace: "pid",
		specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"}
	join := func(s *specs.Spec) {
		for i, ns := range s.Linux.Namespaces {
			if file := files[ns.Type]; file != "" {
				s.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", first.Pid(), file)
			}
		}
		s.Hostname = ""
	}
	second := node.Guest(t, "box", "wait").Spec(join).Interactive().Start()
	for _, file := range files {
		mine, err1 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", first.Pid(), file))
		theirs, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", second.Pid(), file))
		if err1 != nil || err2 != nil || mine != theirs {
			t.Errorf("%s: %s and %s, %v, %v", file, mine, theirs, err1, err2)
		}
	}
	const wrong = "mnt"
	for kind := range files {
		sentence(t, node.Guest(t, "hello-c").Spec(func(s *specs.Spec) {
			for i, ns := range s.Linux.Namespaces {
				if ns.Type == kind {
					s.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", first.Pid(), wrong)
				}
			}
		}).Refused(fmt.Sprintf("/proc/%d/ns/%s", first.Pid(), wrong), string(kind)))
	}
	for _, task := range []*harness.Task{second, first} {
		task.CloseStdin()
		task.Wait().Exits(0)
		task.Delete()
	}
}

func TestUserNamespace(t *testing.T) {
	node, dir := harness.Shared(t), scratch(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	// The namespace's root may make no mount points in an image that the host's owns.
	img := harness.GuestsImage(t)
	img.Name = "docker.io/library/mountable:test"
	for _, name := range []string{"dev", "proc", "sys", "run", "data"} {
		img.Files = append(img.Files, image.Dir(name, 0o755))
	}
	node.Import(t, img)
	task := node.Container(t, img.Name, "/box.wasm", "write", "/data/f", "x", ",", "echo", "up", ",", "wait").Bind(dir, "/data").
		With(oci.WithUserNamespace(ids, ids)).Interactive().Start()
	task.Expect("up")
	var stat syscall.Stat_t
	if err := syscall.Stat(dir+"/f", &stat); err != nil || stat.Uid != 100000 {
		t.Errorf("owner %d, %v", stat.Uid, err)
	}
	task.Exec("box", "echo", "hi").Run().Is(0, "hi\n")
	task.CloseStdin()
	task.Wait().Exits(0)
	task.Delete()
}

// TestHooks: each kind at its time, with its state and no other environment than
// its own; one that fails or hangs ends in a sentence.
func TestHooks(t *testing.T) {
	node, dir := harness.Shared(t), scratch(t)
	script := put(t, dir+"/hook", "#!/bin/sh\n{ echo \"$1 $(env | grep -c FOREIGN) $MINE $(grep -o '\"status\":\"[a-z]*\"')\"; } >>"+dir+"/log\n", 0o755)
	hook := func(kind string) []specs.Hook {
		return []specs.Hook{{Path: script, Args: []string{"hook", kind}, Env: []string{"MINE=yes", "PATH=/usr/bin:/bin"}}}
	}
	t.Setenv("FOREIGN", "1")
	node.Guest(t, "hello-c").Spec(func(s *specs.Spec) {
		//lint:ignore SA1019 deprecated, and in use
		s.Hooks = &specs.Hooks{Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"),
			Poststart: hook("poststart"), Poststop: hook("poststop")}
	}).Run().Is(0, "hello from C\n")
	log, err := os.ReadFile(dir + "/log")
	want := "prestart 0 yes \"status\":\"creating\"\ncreateRuntime 0 yes \"status\":\"creating\"\ncreateContainer 0 yes \"status\":\"creating\"\n" +
		"poststart 0 yes \"status\":\"running\"\npoststop 0 yes \"status\":\"stopped\"\n"
	if err != nil || string(log) != want {
		t.Errorf("hooks %q, %v, want %q", log, err, want)
	}
	second := 1
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for text, bad := range map[string]specs.Hook{
		"broken":  {Path: sh, Args: []string{"sh", "-c", "echo it is broken >&2; exit 3"}},
		"1s":      {Path: sh, Args: []string{"sh", "-c", "sleep 100"}, Env: []string{"PATH=/bin"}, Timeout: &second},
		"no such": {Path: "/no/such/hook"},
	} {
		began := time.Now()
		sentence(t, node.Guest(t, "hello-c").Spec(func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{bad}}
		}).Refused("createRuntime", text))
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %s", text, took)
		}
	}
}

// TestStartContainerHooks: they are the container's own programs, run in its
// root, after Create and before the guest's first instruction.
func TestStartContainerHooks(t *testing.T) {
	node := harness.Shared(t)
	img := harness.GuestsImage(t)
	img.Name = "docker.io/library/hooked:test"
	busybox, err := image.Copy("bin/busybox", "/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	img.Files = append(img.Files, busybox)
	node.Import(t, img)
	guest := func(script string) *harness.Container {
		return node.Container(t, img.Name, "/box.wasm", "cat", "/tmp/log").User(1000, 1000).Spec(func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{
				{Path: "/bin/busybox", Args: []string{"sh", "-c", script}, Env: []string{"MINE=yes"}},
			}}
		})
	}
	task := guest(`b=/bin/busybox; { echo "$MINE $($b id -u) $($b env | $b grep -c FOREIGN) $($b grep -o '"status":"[a-z]*"')"; $b ls /work; } >/tmp/log`).Create()
	if task.Exec("box", "exists", "/tmp/log").Run().Status != 1 {
		t.Error("the hook has run before Start")
	}
	task.Start()
	task.Wait().Is(0, "yes 1000 0 \"status\":\"created\"\nhere\n")
	task.Delete()

	task = guest("echo it is broken >&2; exit 3").Create()
	if err := task.TryStart(); err == nil {
		t.Error("a failing hook let the guest start")
	} else {
		sentence(t, err.Error())
		if !strings.Contains(err.Error(), "startContainer") || !strings.Contains(err.Error(), "it is broken") {
			t.Errorf("error %v", err)
		}
	}
}
