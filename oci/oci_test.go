// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/oci/settings"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// load reads one of the specifications in testdata, which dockerd 29,
// containerd's CRI plugin and ctr wrote; only their seccomp profiles and device
// lists are shortened.
func load(t testing.TB, name string) *specs.Spec {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func input(spec *specs.Spec) Input {
	return Input{ID: "c1", Bundle: "/run/bundle", Spec: spec, Settings: settings.Default()}
}

func mustConfigure(t *testing.T, in Input) *config.Container {
	t.Helper()
	c, err := Configure(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func destinations(c *config.Container) (out []string) {
	for _, m := range c.Mounts {
		out = append(out, m.Destination)
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestDocker(t *testing.T) {
	c := mustConfigure(t, input(load(t, "docker")))
	same(t, "mounts", destinations(c), []string{"/dev", "/dev/shm", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
	if len(c.MaskedPaths)+len(c.ReadonlyPaths) != 0 {
		t.Errorf("paths below /proc and /sys are still hidden: %q %q", c.MaskedPaths, c.ReadonlyPaths)
	}
	if !strings.HasPrefix(c.Cgroup.Path, "/docker/") {
		t.Errorf("cgroup %+v", c.Cgroup)
	}
	if c.Sysctl["net/ipv4/ip_unprivileged_port_start"] != "0" {
		t.Errorf("sysctls %v", c.Sysctl)
	}
	want := uint64(1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID | 1<<unix.CAP_NET_BIND_SERVICE)
	if c.Process.Capabilities != want {
		t.Errorf("capabilities %#x, want %#x", c.Process.Capabilities, want)
	}
	if c.Process.Seccomp == nil {
		t.Error("the seccomp profile is gone")
	}
	if !c.Process.Network.Grants.ListenAny || !c.Process.Network.Grants.ConnectAny {
		t.Errorf("grants %+v", c.Process.Network.Grants)
	}
	if got := Exposed(&c.Process.Network, []string{"53/udp", "8080/tcp"}); len(got) != 2 || got[0].String() != "udp:53" || got[1].String() != "tcp:8080" {
		t.Errorf("preopened sockets %v", got)
	}
	if c.Process.Preopens != nil {
		t.Errorf("preopens %v", c.Process.Preopens)
	}
}

func TestDockerWithOptions(t *testing.T) {
	c := mustConfigure(t, input(load(t, "docker-rich")))
	p := &c.Process
	same(t, "args", p.Args, []string{"/sleeper", "a", "b c", ""})
	same(t, "mounts", destinations(c), []string{"/dev", "/dev/shm", "/data", "/scratch", "/vol", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
	if p.User.UID != 1000 || !slices.Equal(p.User.Groups, []uint32{1000, 7}) {
		t.Errorf("user %+v", p.User)
	}
	if p.Capabilities != 0 {
		t.Errorf("a user other than root has the capabilities %#x", p.Capabilities)
	}
	if !slices.Equal(p.Rlimits, []config.Rlimit{{Type: unix.RLIMIT_NOFILE, Soft: 100, Hard: 200}}) {
		t.Errorf("rlimits %+v", p.Rlimits)
	}
	if p.Cwd != "/data" || !p.Terminal {
		t.Errorf("cwd %q, terminal %v", p.Cwd, p.Terminal)
	}
	if !slices.Contains(p.Env, "PWD=/data") || !slices.Contains(p.Env, "A=b") {
		t.Errorf("env %q", p.Env)
	}
	data := c.Mounts[2]
	if data.RecursiveSet != unix.MOUNT_ATTR_RDONLY || data.Flags != unix.MS_BIND|unix.MS_REC {
		t.Errorf("read-only bind: %+v", data)
	}
	if !slices.ContainsFunc(c.Devices, func(d config.Device) bool { return d.Path == "/dev/mynull" }) {
		t.Errorf("devices %+v", c.Devices)
	}
	if *c.Cgroup.Resources.Memory.Limit != 64<<20 {
		t.Errorf("memory limit %d", *c.Cgroup.Resources.Memory.Limit)
	}
}

func TestDockerPrivileged(t *testing.T) {
	c := mustConfigure(t, input(load(t, "docker-privileged")))
	want := uint64(1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER |
		1<<unix.CAP_FSETID | 1<<unix.CAP_NET_BIND_SERVICE)
	if c.Process.Capabilities != want {
		t.Errorf("capabilities %#x, want %#x", c.Process.Capabilities, want)
	}
	same(t, "mounts", destinations(c), []string{"/dev", "/dev/shm", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
	// In the host's network namespace nothing is granted, EXPOSE or not.
	if n := c.Process.Network; n.Grants.ListenAny || n.Grants.ConnectAny || len(n.Grants.Listen)+len(n.Grants.Connect)+len(n.Preopen) != 0 {
		t.Errorf("network %+v", n)
	}
}

func TestPod(t *testing.T) {
	c := mustConfigure(t, input(load(t, "cri-pod")))
	if c.Process.Kind != config.Pause {
		t.Errorf("kind %q", c.Process.Kind)
	}
	if !c.Root.Readonly || c.Root.Path != "/run/bundle/rootfs" {
		t.Errorf("root %+v", c.Root)
	}
}

func TestContainerOfPod(t *testing.T) {
	in := input(load(t, "cri"))
	c := mustConfigure(t, in)
	if c.Process.Kind != config.Wasm || *c.Cgroup.OOMScoreAdj != 900 {
		t.Errorf("kind %q, cgroup %+v", c.Process.Kind, c.Cgroup)
	}
	if c.Namespaces.Net.Path == "" || c.Namespaces.Net.New {
		t.Errorf("network namespace %+v", c.Namespaces.Net)
	}
	if g := c.Process.Network.Grants; g.ListenAny || !g.ConnectAny || len(g.Listen) != 1 {
		t.Errorf("grants %+v", g)
	}

	// The pod is on the host's network: CRI still gives a path.
	in.Host.Joined = []specs.LinuxNamespaceType{specs.NetworkNamespace}
	c = mustConfigure(t, in)
	if c.Namespaces.Net.Own() {
		t.Errorf("network namespace %+v", c.Namespaces.Net)
	}
	if g := c.Process.Network.Grants; g.ConnectAny || len(g.Connect) != 0 || len(g.Listen) != 1 {
		t.Errorf("grants on the host's network %+v", g)
	}
}

func TestCtr(t *testing.T) {
	c := mustConfigure(t, input(load(t, "ctr")))
	if c.Cgroup.Path != "/default/one" || !c.Process.NoNewPrivileges {
		t.Errorf("cgroup %+v", c.Cgroup)
	}
	same(t, "mounts", destinations(c), []string{"/dev", "/dev/shm", "/run"})
}

func TestAnnotationsAndCeiling(t *testing.T) {
	spec := load(t, "docker")
	spec.Annotations = map[string]string{
		"io.containerd.wazero.v1/preopens":    "/data:ro",
		"io.containerd.wazero.v1/timeout":     "2m",
		"io.containerd.wazero.v1/cpu-timeout": "10s",
	}
	in := input(spec)
	in.Settings.Ceiling = settings.Ceiling{
		Timeout: time.Minute,
		Connect: []policy.ConnectRule{},
		Listen:  []policy.ListenRule{{Proto: policy.TCP, Port: 8080}},
	}
	p := mustConfigure(t, in).Process
	if p.Timeout != time.Minute || p.CPUTimeout != 10*time.Second {
		t.Errorf("deadlines %v, %v", p.Timeout, p.CPUTimeout)
	}
	if !slices.Equal(p.Preopens, []config.Preopen{{Path: "/data", Name: "/data", ReadOnly: true}}) {
		t.Errorf("preopens %+v", p.Preopens)
	}
	if g := p.Network.Grants; g.ListenAny || g.ConnectAny || len(g.Connect) != 0 || len(g.Listen) != 1 {
		t.Errorf("grants %+v", g)
	}
	if got := Exposed(&p.Network, []string{"53/udp", "8080/tcp"}); len(got) != 1 {
		t.Errorf("the image's UDP port is above the ceiling: %v", got)
	}
}

// TestNamingFiles: a guest that may connect by name does not say what names mean.
func TestNamingFiles(t *testing.T) {
	for connect, want := range map[string][]string{
		"":                                 nil,
		"none":                             nil,
		"10.0.0.0/8:443":                   nil,
		"unix:/run/db.sock":                nil,
		"10.0.0.0/8:443,postgres:5432":     {"/etc/hosts", "/etc/resolv.conf"},
		"*.example.com@203.0.113.0/24:443": {"/etc/hosts", "/etc/resolv.conf"},
	} {
		spec := load(t, "docker")
		if connect != "" {
			spec.Annotations = map[string]string{"io.containerd.wazero.v1/connect": connect}
		}
		if got := mustConfigure(t, input(spec)).ReadonlyPaths; !slices.Equal(got, want) {
			t.Errorf("%q: read-only %q, want %q", connect, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*specs.Spec)
		says   string
	}{
		"no process":         {func(s *specs.Spec) { s.Process = nil }, "no process"},
		"no root":            {func(s *specs.Spec) { s.Root = nil }, "no root file system"},
		"host's root":        {func(s *specs.Spec) { s.Root.Path = "/tmp/.." }, "host's own root"},
		"no arguments":       {func(s *specs.Spec) { s.Process.Args = nil }, "process.args is empty"},
		"unknown annotation": {func(s *specs.Spec) { s.Annotations = map[string]string{"io.containerd.wazero.v1/net": "x"} }, "unknown annotation"},
		"RDT":                {func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} }, "intelRdt"},
		"memory policy":      {func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{} }, "memoryPolicy"},
		"time offsets": {func(s *specs.Spec) {
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {}}
		}, "timeOffsets"},
		"personality": {func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: "BSD"} }, "personality"},
		"AppArmor":    {func(s *specs.Spec) { s.Process.ApparmorProfile = "p" }, "AppArmor is not enabled"},
		"SELinux":     {func(s *specs.Spec) { s.Process.SelinuxLabel = "l" }, "SELinux is not enabled"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := load(t, "docker")
			c.change(spec)
			_, err := Configure(input(spec))
			if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

func TestExec(t *testing.T) {
	spec := load(t, "docker")
	spec.Process.NoNewPrivileges = true
	umask := uint32(0o27)
	spec.Process.User.Umask = &umask
	spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}}
	in := input(spec)
	in.Module = "/blobs/m"
	c := mustConfigure(t, in)
	p, err := ConfigureExec(c, &specs.Process{
		Args: []string{"check.wasm", "-v"}, Env: []string{"PATH=/bin:rel"}, Cwd: "/tmp/",
		User:            specs.User{UID: 7, GID: 8},
		ExecCPUAffinity: &specs.CPUAffinity{Initial: "0", Final: "0-1"},
	}, Host{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Cwd != "/tmp" || p.User.UID != 7 || *p.User.Umask != umask || len(p.Rlimits) != 1 || !p.NoNewPrivileges {
		t.Errorf("process %+v", p)
	}
	if p.Seccomp == nil || p.Capabilities != 0 || p.CPUAffinity != "0-1" {
		t.Errorf("process %+v", p)
	}
	if p.Module.Blob != "/blobs/m" || p.Module.Path != "" || p.Module.MaxSize != 256<<20 {
		t.Errorf("module %+v", p.Module)
	}
	if !p.Network.Grants.ListenAny || p.Network.Preopen != nil || p.Network.Exposed {
		t.Errorf("network %+v", p.Network)
	}
	if !c.Process.Network.Exposed {
		t.Error("the exec took the first process's listening sockets")
	}
	if _, err := ConfigureExec(c, &specs.Process{}, Host{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("an exec of nothing: %v", err)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a bundle without configuration: %v", err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"good":          {`{"ociVersion":"1.0.2-dev","process":{"cwd":"/"}}`, ""},
		"no version":    {`{}`, ""},
		"not JSON":      {`hello`, "is not an OCI runtime configuration"},
		"empty":         {``, "is not an OCI runtime configuration"},
		"other type":    {`{"mounts":7}`, "is not an OCI runtime configuration"},
		"other version": {`{"ociVersion":"2.0.0"}`, "knows version 1"},
		"huge":          {strings.Repeat(" ", maxSpec+1), "is larger than 10 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Read(dir)
			if c.says == "" && err != nil || c.says != "" && (!errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

// FuzzSpec: whatever a config.json holds, there is a configuration or a
// sentence. The seeds are short: the engine spends its time on shortening long
// ones.
func FuzzSpec(f *testing.F) {
	const start = `{"root":{"path":"r"},"process":{"args":["/a.wasm#x","b"],"cwd":"/"`
	for _, rest := range []string{
		`}}`,
		`,"env":["PATH=/bin:x","A=b"],"terminal":true,"consoleSize":{"height":1,"width":2},"user":{"uid":1,"gid":2,"umask":18,"additionalGids":[3]}}}`,
		`,"rlimits":[{"type":"RLIMIT_NOFILE","hard":2,"soft":1}],"oomScoreAdj":7,"capabilities":{"effective":["CAP_FOWNER"],"bounding":["CAP_FOWNER"]}}}`,
		`,"scheduler":{"policy":"SCHED_RR","priority":1},"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":1},"execCPUAffinity":{"final":"0-1"}}}`,
		`},"mounts":[{"destination":"/proc","type":"proc"},{"destination":"/d","type":"bind","source":"s","options":["rbind","rro","idmap"],"uidMappings":[{"size":1}],"gidMappings":[{"size":1}]}]}`,
		`},"linux":{"namespaces":[{"type":"network"},{"type":"user"},{"type":"ipc","path":"/i"}],"uidMappings":[{"size":9}],"gidMappings":[{"size":9}],"sysctl":{"net.x":"1"}}}`,
		`},"linux":{"cgroupsPath":"system.slice:docker:x","resources":{"devices":[{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}],"memory":{"limit":1}}}}`,
		`},"linux":{"devices":[{"path":"/dev/x","type":"c","major":1,"minor":3}],"maskedPaths":["/proc/x"],"readonlyPaths":["/y"],"rootfsPropagation":"rslave"}}`,
		`},"hostname":"h","linux":{"namespaces":[{"type":"uts"}],"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}},"hooks":{"prestart":[{"path":"/h","timeout":1}]}}`,
		`},"annotations":{"io.containerd.wazero.v1/listen.web":"tcp:80","io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"web"}}`,
	} {
		f.Add([]byte(start + rest))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := decode(data)
		if err != nil {
			return
		}
		c, err := Configure(input(spec))
		if err != nil {
			if !errdefs.IsInvalidArgument(err) || err.Error() == "" {
				t.Errorf("error without a code or words: %v", err)
			}
			return
		}
		if c.Cgroup.Path == "/" || !c.Namespaces.Mount.New || len(c.Process.Args) == 0 {
			t.Errorf("configuration %+v", c)
		}
		for _, m := range c.Mounts {
			if !filepath.IsAbs(m.Destination) || filepath.Clean(m.Destination) != m.Destination || m.Destination == "/" {
				t.Errorf("mount at %q", m.Destination)
			}
		}
		if _, err := ConfigureExec(c, spec.Process, Host{}); err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("exec: %v", err)
		}
	})
}

func TestPodNames(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	for _, test := range []struct{ namespace, name, container, wantPod, wantContainer string }{
		{"", "", "", "", ""},
		{"default", "web", "app", "default/web", "app"},
		{"default", "web", "", "default/web", ""},
		{"", "web", "app", "", "app"},
		{"default", "", "app", "", "app"},
		{"default", long, long, "", ""},
		{"default", long[1:], long[1:], "default/" + long[1:], long[1:]},
	} {
		pod, container := PodNames(map[string]string{
			criSandboxNamespace: test.namespace, criSandboxName: test.name, criContainerName: test.container,
		})
		if pod != test.wantPod || container != test.wantContainer {
			t.Errorf("%.20q: pod %.20q, container %.20q", test, pod, container)
		}
	}
}

func BenchmarkConfigure(b *testing.B) {
	data, err := os.ReadFile("testdata/docker.json")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("configure", func(b *testing.B) {
		in := input(load(b, "docker"))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Configure(in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
