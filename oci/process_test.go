// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// says reports a test's failure unless the error has the words, or is none
// where there are none.
func says(t *testing.T, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Errorf("error %v", err)
	case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
		t.Errorf("error %v, want %q", err, words)
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"a.wasm", "", " b c "}, ""},
		{nil, "process.args is empty"},
		{[]string{"", "x"}, "process.args is empty"},
		{[]string{"a", "b\x00c"}, `process.args[1] "b\x00c" holds a NUL byte`},
	} {
		got, err := arguments(c.args)
		says(t, err, c.says)
		if err == nil && !slices.Equal(got, c.args) {
			t.Errorf("%q became %q", c.args, got)
		}
	}
}

func TestStripInit(t *testing.T) {
	mounted := []specs.Mount{{Destination: "/sbin/docker-init"}}
	for _, c := range []struct {
		args    []string
		mounts  []specs.Mount
		want    []string
		program string
	}{
		{[]string{"/sbin/docker-init", "--", "/a.wasm", "x"}, mounted, []string{"/a.wasm", "x"}, "/sbin/docker-init"},
		{[]string{"/sbin/tini", "--", "/a.wasm"}, []specs.Mount{{Destination: "/sbin/tini"}}, []string{"/a.wasm"}, "/sbin/tini"},
		{[]string{"/sbin/docker-init", "--", "/a.wasm"}, nil, []string{"/sbin/docker-init", "--", "/a.wasm"}, ""},
		{[]string{"/sbin/docker-init", "--"}, mounted, []string{"/sbin/docker-init", "--"}, ""},
		{[]string{"/sbin/docker-init", "-s", "--", "/a"}, mounted, []string{"/sbin/docker-init", "-s", "--", "/a"}, ""},
		{nil, mounted, nil, ""},
	} {
		args, program := stripInit(c.args, c.mounts)
		if !slices.Equal(args, c.want) || program != c.program {
			t.Errorf("%q: %q %q", c.args, args, program)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		env, want []string
		says      string
	}{
		{nil, []string{"PWD=/w"}, ""},
		{[]string{"A=b=c", "E="}, []string{"A=b=c", "E=", "PWD=/w"}, ""},
		{[]string{"PWD=/x"}, []string{"PWD=/x"}, ""},
		{[]string{"A=1", "B=2", "A=3"}, []string{"A=3", "B=2", "PWD=/w"}, ""},
		{[]string{"A"}, nil, `process.env[0] "A" is not NAME=value`},
		{[]string{"=x"}, nil, "is not NAME=value"},
		{[]string{"A=\x00"}, nil, "NUL byte"},
	} {
		got, err := environment(c.env, "/w")
		says(t, err, c.says)
		if err == nil {
			same(t, "environment", got, c.want)
		}
	}
	got, err := environment(nil, "/")
	says(t, err, "")
	same(t, "environment at /", got, []string{})
}

func TestSize(t *testing.T) {
	long := strings.Repeat("x", maxString-1)
	says(t, checkSize([]string{long}), "")
	says(t, checkSize([]string{long + "x"}), "argument list too long")
	says(t, checkSize(slices.Repeat([]string{long}, 17)), "argument list too long")
	says(t, checkSize(slices.Repeat([]string{""}, 300000)), "argument list too long")
}

func TestWorkingDirectory(t *testing.T) {
	for _, c := range []struct{ in, want, says string }{
		{"", "/", ""},
		{"/", "/", ""},
		{"/a/../b/", "/b", ""},
		{"/../..", "/", ""},
		{"a", "", `process.cwd "a" is not an absolute path`},
		{"/a\x00", "", "NUL byte"},
	} {
		got, err := workingDirectory(c.in)
		says(t, err, c.says)
		if err == nil && got != c.want {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}

func TestModule(t *testing.T) {
	env := []string{"PATH=/bin:rel::/usr//bin"}
	for _, c := range []struct {
		arg, blob string
		want      config.Module
		says      string
	}{
		{"/app/a.wasm", "", config.Module{Path: "/app/a.wasm"}, ""},
		{"./a.wasm#run", "", config.Module{Path: "./a.wasm", Export: "run"}, ""},
		{"a.wasm", "", config.Module{Path: "a.wasm", SearchPath: []string{"/bin", "/usr/bin"}}, ""},
		{"a.wasm#x#y", "", config.Module{Path: "a.wasm", Export: "x#y", SearchPath: []string{"/bin", "/usr/bin"}}, ""},
		{"a.wasm#", "", config.Module{}, "names no export"},
		{"#run", "", config.Module{}, "names no module"},
		{"whatever", "/blob", config.Module{Blob: "/blob"}, ""},
		{"#run", "/blob", config.Module{Blob: "/blob", Export: "run"}, ""},
	} {
		got, err := module(&config.Process{Args: []string{c.arg}, Env: env}, c.blob, 5)
		says(t, err, c.says)
		c.want.MaxSize = 5
		if err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, want %+v", c.arg, got, c.want)
		}
	}
}

func TestConsoleSize(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		box      *specs.Box
		w, h     uint16
	}{
		{true, &specs.Box{Width: 80, Height: 24}, 80, 24},
		{true, &specs.Box{Width: 1 << 20, Height: 24}, 65535, 24},
		{true, nil, 0, 0},
		{false, &specs.Box{Width: 80, Height: 24}, 0, 0},
	} {
		if w, h := consoleSize(c.terminal, c.box); w != c.w || h != c.h {
			t.Errorf("%+v: %d %d", c, w, h)
		}
	}
}

func TestUser(t *testing.T) {
	id := func(v uint32) *uint32 { return &v }
	mapped := config.Namespaces{
		UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}, {ContainerID: 100, HostID: 5000, Size: 1}},
		GIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}},
	}
	for _, c := range []struct {
		user specs.User
		ns   config.Namespaces
		says string
	}{
		{specs.User{UID: 1, GID: 2, AdditionalGids: []uint32{3}, Umask: id(0o22)}, config.Namespaces{}, ""},
		{specs.User{UID: 9, GID: 9}, mapped, ""},
		{specs.User{UID: 100}, mapped, ""},
		{specs.User{UID: 10}, mapped, "user id 10 is not mapped"},
		{specs.User{GID: 100}, mapped, "group id 100 is not mapped"},
		{specs.User{AdditionalGids: []uint32{0, 11}}, mapped, "group id 11 is not mapped"},
		{specs.User{UID: 1<<32 - 1}, config.Namespaces{}, "means none"},
		{specs.User{Umask: id(0o1000)}, config.Namespaces{}, "umask"},
		{specs.User{AdditionalGids: make([]uint32, maxGroups+1)}, config.Namespaces{}, "65537 groups"},
	} {
		got, err := user(&c.user, c.ns)
		says(t, err, c.says)
		want := config.User{UID: c.user.UID, GID: c.user.GID, Groups: c.user.AdditionalGids, Umask: c.user.Umask}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v", c.user, got)
		}
	}
}

func TestRlimits(t *testing.T) {
	got, err := rlimits([]specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1, Hard: 2}, {Type: "RLIMIT_AS", Soft: 1<<64 - 1, Hard: 1<<64 - 1}})
	says(t, err, "")
	if want := []config.Rlimit{{Type: unix.RLIMIT_NOFILE, Soft: 1, Hard: 2}, {Type: unix.RLIMIT_AS, Soft: unix.RLIM_INFINITY, Hard: unix.RLIM_INFINITY}}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	for words, bad := range map[string][]specs.POSIXRlimit{
		"unknown limit":          {{Type: "RLIMIT_X"}},
		"is there twice":         {{Type: "RLIMIT_CPU"}, {Type: "RLIMIT_CPU"}},
		"above its hard limit 2": {{Type: "RLIMIT_CPU", Soft: 3, Hard: 2}},
	} {
		_, err := rlimits(bad)
		says(t, err, words)
	}
}

func TestScheduling(t *testing.T) {
	for words, s := range map[string]*specs.Scheduler{
		"no policy":            {},
		"nice 20":              {Policy: specs.SchedOther, Nice: 20},
		"a priority needs":     {Policy: specs.SchedOther, Priority: 1},
		"runtime, deadline":    {Policy: specs.SchedFIFO, Period: 1},
		"unknown policy \"X\"": {Policy: "X"},
	} {
		_, err := scheduler(s)
		says(t, err, words)
	}
	for _, s := range []*specs.Scheduler{nil, {Policy: specs.SchedBatch, Nice: -20}, {Policy: specs.SchedRR, Priority: 5}} {
		got, err := scheduler(s)
		says(t, err, "")
		if got != s {
			t.Errorf("%+v became %+v", s, got)
		}
	}
	for words, p := range map[string]*specs.LinuxIOPriority{
		"":              {Class: specs.IOPRIO_CLASS_BE, Priority: 7},
		"priority 8":    {Class: specs.IOPRIO_CLASS_BE, Priority: 8},
		"unknown class": {Class: "X"},
	} {
		_, err := ioPriority(p)
		says(t, err, words)
	}
	for list, words := range map[string]string{"0-1,3": "", "": "", "a": "not a list of processors"} {
		got, err := cpuAffinity(&specs.CPUAffinity{Initial: list})
		says(t, err, words)
		if err == nil && got != list {
			t.Errorf("%q became %q", list, got)
		}
	}
}

func TestShorter(t *testing.T) {
	for _, c := range [][3]time.Duration{{0, 0, 0}, {1, 0, 1}, {0, 2, 2}, {1, 2, 1}, {3, 2, 2}} {
		if got := shorter(c[0], c[1]); got != c[2] {
			t.Errorf("%v: %v", c, got)
		}
	}
}

func TestCapabilities(t *testing.T) {
	all := []string{"CAP_SYS_ADMIN", "CAP_FOWNER", "cap_fsetid", "CAP_UNHEARD_OF"}
	const fowner, fsetid = 1 << unix.CAP_FOWNER, 1 << unix.CAP_FSETID
	for name, c := range map[string]struct {
		caps *specs.LinuxCapabilities
		uid  uint32
		want uint64
	}{
		"none":               {nil, 0, 0},
		"root":               {&specs.LinuxCapabilities{Effective: all, Bounding: all}, 0, fowner | fsetid},
		"outside bounding":   {&specs.LinuxCapabilities{Effective: all, Bounding: all[:2]}, 0, fowner},
		"only bounding":      {&specs.LinuxCapabilities{Bounding: all}, 0, 0},
		"another, ambient":   {&specs.LinuxCapabilities{Effective: all, Bounding: all, Ambient: all[2:]}, 5, fsetid},
		"another, effective": {&specs.LinuxCapabilities{Effective: all, Bounding: all}, 5, 0},
	} {
		if got := capabilities(c.caps, c.uid); got != c.want {
			t.Errorf("%s: %#x, want %#x", name, got, c.want)
		}
	}
}

func TestSeccomp(t *testing.T) {
	if seccomp(nil) != nil || seccomp(&specs.LinuxSeccomp{}) != nil {
		t.Error("a profile that says nothing is one")
	}
	if s := (&specs.LinuxSeccomp{DefaultAction: specs.ActAllow}); seccomp(s) != s {
		t.Error("the profile changed")
	}
}

func TestLabels(t *testing.T) {
	both := Host{AppArmor: true, SELinux: true}
	for _, c := range []struct {
		label string
		host  Host
		want  string
		ok    bool
	}{
		{"", Host{}, "", true},
		{"docker-default", both, "docker-default", true},
		{"docker-default", Host{}, "", false},
		{"a\x00", both, "", false},
	} {
		if got, err := appArmor(c.label, c.host); (err == nil) != c.ok || err == nil && got != c.want {
			t.Errorf("AppArmor %q: %q, %v", c.label, got, err)
		}
		if got, err := seLinux(c.label, c.host); (err == nil) != c.ok || err == nil && got != c.want {
			t.Errorf("SELinux %q: %q, %v", c.label, got, err)
		}
	}
	if got, err := appArmor("unconfined", Host{}); got != "" || err != nil {
		t.Errorf("unconfined: %q, %v", got, err)
	}
}
