// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/fork"
)

// proc is a file of init's in the host's /proc.
func (b *box) proc(name string) string { return fmt.Sprintf("/proc/%d/%s", b.init.Pid(), name) }

func ids() []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
}

// inUserNamespace gives the container a new user namespace, and it the root.
func (b *box) inUserNamespace() {
	n := &b.config.Namespaces
	n.User = config.Namespace{New: true}
	n.UIDMappings, n.GIDMappings = ids(), ids()
	must(b.t, filepath.Walk(b.config.Root.Path, func(path string, _ os.FileInfo, err error) error {
		return os.Lchown(path, 100000, 100000)
	}))
}

func link(t *testing.T, path string) string {
	t.Helper()
	s, err := os.Readlink(path)
	must(t, err)
	return s
}

// TestNamespaces: each is new, and an exec is in all of them.
func TestNamespaces(t *testing.T) {
	for _, userns := range []bool{false, true} {
		b := newBox(t, "spin")
		if userns {
			b.inUserNamespace()
		}
		b.create() // the namespaces are there before the start
		names := []string{"mnt", "net", "pid", "ipc", "uts", "cgroup"}
		if userns {
			names = append(names, "user")
		}
		must(t, b.init.Start(testContext(t)))
		p, _, err := b.exec(boxProcess("spin"))
		must(t, err)
		for _, n := range names {
			own := link(t, b.proc("ns/"+n))
			if own == link(t, "/proc/self/ns/"+n) {
				t.Errorf("user namespace %v: the %s namespace is the host's", userns, n)
			}
			if got := link(t, fmt.Sprintf("/proc/%d/ns/%s", p.Pid(), n)); got != own {
				t.Errorf("user namespace %v: an exec is in the %s namespace %s, init in %s", userns, n, got, own)
			}
		}
		cg, err := os.ReadFile(b.proc("cgroup"))
		must(t, err)
		for line := range strings.Lines(string(cg)) {
			if !strings.HasSuffix(strings.TrimSpace(line), b.config.Cgroup.Path) && !strings.HasPrefix(line, "0::") {
				t.Errorf("outside of its cgroup: %s", line)
			}
		}
	}
}

func TestUserNamespace(t *testing.T) {
	b := newBox(t, strings.Fields("write /tmp/f x , sleep 100000")...)
	b.inUserNamespace()
	b.config.Process.User = config.User{UID: 1000, GID: 1000}
	b.config.Mounts = []config.Mount{
		{Type: "tmpfs", Source: "tmpfs", Destination: "/run", Data: "mode=755,uid=1000"},
		bind(source(t), "/data", unix.MS_RDONLY),
	}
	b.start()
	eventually(t, "the file is there", func() bool { _, err := os.Stat(b.inside("/tmp/f")); return err == nil })
	for path, want := range map[string]uint32{"/tmp/f": 101000, "/run": 101000, "/data/f": 0} {
		var st unix.Stat_t
		must(t, unix.Stat(b.inside(path), &st))
		if st.Uid != want {
			t.Errorf("%s belongs to %d, want %d", path, st.Uid, want)
		}
	}
	p := boxProcess("write", "/tmp/g", "x", ",", "try", "write", "/data/f", "x", ",", "exit", "9")
	if status, out := b.runExec(p); status != 9 || !strings.Contains(out, "Read-only") {
		t.Errorf("exec: %d %q", status, out)
	}
	var st unix.Stat_t
	must(t, unix.Stat(b.inside("/tmp/g"), &st))
	if st.Uid != 100000 {
		t.Errorf("root's file belongs to %d", st.Uid)
	}
}

// TestClosedBundle: a user namespace's root need not be able to reach the
// bundle, or what is bound from the host.
func TestClosedBundle(t *testing.T) {
	b := newBox(t, "cat", "/data/f")
	b.inUserNamespace()
	src := source(t)
	for _, dir := range []string{b.config.Bundle, filepath.Dir(src)} {
		must(t, os.Chmod(dir, 0o700))
	}
	b.config.Mounts = []config.Mount{bind(src, "/data", 0)}
	if status, out := b.run(); status != 0 || out != "host\n" {
		t.Errorf("status %d, %q, %s", status, out, b.stderr.all(t))
	}
}

// holder is a process in namespaces of its own, for others to join.
func holder(t *testing.T, flags uintptr) string {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return fmt.Sprintf("/proc/%d/ns/", cmd.Process.Pid)
}

func TestJoin(t *testing.T) {
	ns := holder(t, unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWPID)
	b := newBox(t, "spin")
	n := &b.config.Namespaces
	n.Net.Path, n.IPC.Path, n.UTS.Path, n.PID.Path = ns+"net", ns+"ipc", ns+"uts", ns+"pid_for_children"
	n.Net.New, n.IPC.New, n.UTS.New, n.PID.New = false, false, false, false
	b.start()
	for _, name := range []string{"net", "ipc", "uts", "pid"} {
		if own := link(t, b.proc("ns/"+name)); own != link(t, ns+name) {
			t.Errorf("in the %s namespace %s, want %s", name, own, link(t, ns+name))
		}
	}
	if status, _ := b.runExec(boxProcess("exit", "4")); status != 4 {
		t.Errorf("exec: %d", status)
	}
	must(t, b.init.Signal(unix.SIGTERM))
	if status := wait(t, b.init); status != 143 {
		t.Errorf("status %d", status)
	}
}

// TestJoinUserNamespace is what CRI does: a user namespace given by its path.
func TestJoinUserNamespace(t *testing.T) {
	user, err := fork.UserNamespace(ids(), ids())
	must(t, err)
	defer user.Close()
	pinned := filepath.Join(t.TempDir(), "userns")
	must(t, os.WriteFile(pinned, nil, 0o600))
	must(t, unix.Mount(fmt.Sprintf("/proc/self/fd/%d", user.Fd()), pinned, "", unix.MS_BIND, ""))
	defer unix.Unmount(pinned, unix.MNT_DETACH)
	b := newBox(t, "write", "/tmp/f", "x", ",", "spin")
	b.inUserNamespace()
	b.config.Namespaces.User = config.Namespace{Path: pinned}
	// A network namespace that belongs to the host's user namespace.
	b.config.Namespaces.Net = config.Namespace{Path: holder(t, unix.CLONE_NEWNET) + "net"}
	b.config.Mounts = []config.Mount{{Type: "bind", Source: source(t), Destination: "/data", Flags: unix.MS_BIND, IDMap: &config.IDMap{}}}
	b.start()
	eventually(t, "the file is there", func() bool { _, err := os.Stat(b.inside("/tmp/f")); return err == nil })
	var st unix.Stat_t
	must(t, unix.Stat(b.inside("/tmp/f"), &st))
	if st.Uid != 100000 {
		t.Errorf("the file belongs to %d", st.Uid)
	}
	must(t, unix.Stat(b.inside("/data/f"), &st))
	if st.Uid != 100000 { // the host's root, mapped
		t.Errorf("the mapped file belongs to %d", st.Uid)
	}
	if status, _ := b.runExec(boxProcess("write", "/data/f", "x", ",", "exit", "5")); status != 5 {
		t.Errorf("exec: %d", status)
	}
}

func TestNamespaceErrors(t *testing.T) {
	ns := holder(t, unix.CLONE_NEWNET)
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	for _, tc := range []struct {
		path, words string
	}{
		{"/nonexistent/ns", "no such file or directory"},
		{ns + "ipc", "it is one of another kind"},
		{"/etc/passwd", "it is no namespace at all"},
		{"/proc/self/status", "it is no namespace at all"},
		{fifo, "it is no namespace at all"},
		{"/proc/self/ns/net", "the host's network namespace"},
	} {
		b := newBox(t, "true")
		b.config.Namespaces.Net = config.Namespace{Path: tc.path}
		b.fails(tc.words)
	}
	b := newBox(t, "true")
	b.config.Namespaces.Mount = config.Namespace{Path: ns + "mnt"}
	b.fails("cannot be joined")
	b = newBox(t, "true")
	b.inUserNamespace()
	b.config.Namespaces.UIDMappings[0].ContainerID = 10
	b.fails("must map its user and group 0")
}

func TestHostname(t *testing.T) {
	for _, userns := range []bool{false, true} {
		testHostname(t, userns)
	}
	b := newBox(t, "true")
	b.config.Sysctl = map[string]string{"net/ipv4/nonsense": "1"}
	b.fails("sysctl net.ipv4.nonsense: no such file or directory")
}

func testHostname(t *testing.T, userns bool) {
	b := newBox(t, "sleep", "100000")
	if userns {
		b.inUserNamespace()
	}
	b.config.Hostname, b.config.Domainname = "somewhere", "example.org"
	b.config.Sysctl = map[string]string{
		"net/ipv4/ip_unprivileged_port_start": "0",
		"net/ipv4/ping_group_range":           "0 65535",
		"kernel/shmmni":                       "1234",
	}
	b.start()
	for name, want := range map[string]string{
		"sys/kernel/hostname": "somewhere", "sys/kernel/domainname": "example.org",
		"sys/net/ipv4/ip_unprivileged_port_start": "0", "sys/kernel/shmmni": "1234",
	} {
		if got := b.nsenter("cat", "/proc/"+name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if out := b.nsenter("ip", "-brief", "link", "show", "lo"); out != "" && !strings.Contains(out, "UP") {
		t.Errorf("lo is not up: %s", out)
	}
}

// nsenter runs a command of the host in the container's network, ipc and uts
// namespaces.
func (b *box) nsenter(args ...string) string {
	b.t.Helper()
	pid := fmt.Sprint(b.init.Pid())
	out, _ := exec.Command("nsenter", append([]string{"-t", pid, "-n", "-i", "-u", "--"}, args...)...).Output()
	return strings.TrimSpace(string(out))
}
