// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/config"
)

func TestNamespaces(t *testing.T) {
	fresh := config.Namespace{New: true}
	for name, c := range map[string]struct {
		linux specs.Linux
		host  Host
		want  config.Namespaces
		says  string
	}{
		"none": {want: config.Namespaces{Mount: fresh}},
		"new": {
			linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "network"}, {Type: "pid"}, {Type: "ipc"}, {Type: "uts"}, {Type: "cgroup"}, {Type: "mount"}, {Type: "time"}}},
			want:  config.Namespaces{Mount: fresh, Net: fresh, PID: fresh, IPC: fresh, UTS: fresh, Cgroup: fresh},
		},
		"joined": {
			linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "network", Path: "/n"}, {Type: "ipc", Path: "/i"}}},
			host:  Host{Joined: []specs.LinuxNamespaceType{"ipc"}},
			want:  config.Namespaces{Mount: fresh, Net: config.Namespace{Path: "/n"}},
		},
		"user": {
			linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "user"}}, UIDMappings: ids, GIDMappings: otherIDs},
			want:  config.Namespaces{Mount: fresh, User: fresh, UIDMappings: ids, GIDMappings: otherIDs},
		},
		"user joined": {
			linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "user", Path: "/u"}}},
			want:  config.Namespaces{Mount: fresh, User: config.Namespace{Path: "/u"}},
		},
		"user joined, mappings told": {
			linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "user", Path: "/u"}}, UIDMappings: ids, GIDMappings: ids},
			want:  config.Namespaces{Mount: fresh, User: config.Namespace{Path: "/u"}, UIDMappings: ids, GIDMappings: ids},
		},
		"twice":              {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "pid"}, {Type: "pid"}}}, says: "pid is there twice"},
		"unknown":            {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "net"}}}, says: `unknown kind "net"`},
		"relative":           {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "pid", Path: "x"}}}, says: "not absolute"},
		"NUL":                {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "pid", Path: "/x\x00"}}}, says: "NUL"},
		"mount joined":       {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "mount", Path: "/m"}}}, says: "cannot be joined"},
		"time joined":        {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "time", Path: "/t"}}}, says: "cannot be joined"},
		"user unmapped":      {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "user"}}}, says: "need both"},
		"mapped without one": {linux: specs.Linux{UIDMappings: ids, GIDMappings: ids}, says: "need a user namespace"},
		"too many mappings":  {linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "user"}}, UIDMappings: make([]specs.LinuxIDMapping, 341), GIDMappings: ids}, says: "341 id mappings"},
		"mapping overflows": {
			linux: specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: "user"}}, UIDMappings: []specs.LinuxIDMapping{{HostID: 1 << 31, Size: 1<<31 + 1}}, GIDMappings: ids},
			says:  "is not possible",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := namespaces(&c.linux, c.host)
			says(t, err, c.says)
			if err == nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	own := config.Namespace{New: true}
	for _, c := range []struct {
		host, domain string
		uts          config.Namespace
		says         string
	}{
		{"h", "d", own, ""},
		{"", "", config.Namespace{}, ""},
		{"h", "", config.Namespace{}, "needs a UTS namespace"},
		{"", "d", config.Namespace{}, "needs a UTS namespace"},
		{strings.Repeat("h", 65), "", own, "longer than 64"},
		{"h\x00", "", own, "NUL"},
	} {
		_, _, err := names(c.host, c.domain, c.uts)
		says(t, err, c.says)
	}
}

func TestInspect(t *testing.T) {
	linux := &specs.Linux{Namespaces: []specs.LinuxNamespace{
		{Type: specs.NetworkNamespace, Path: "/proc/self/ns/net"},
		{Type: specs.PIDNamespace, Path: "/proc/self/ns/mnt"}, // another namespace
		{Type: specs.IPCNamespace},
	}}
	h, err := Inspect(&specs.Process{}, linux)
	if err != nil || !slices.Equal(h.Joined, []specs.LinuxNamespaceType{specs.NetworkNamespace}) || h.AppArmor || h.SELinux {
		t.Errorf("%+v, %v", h, err)
	}
	linux.Namespaces[0].Path = filepath.Join(t.TempDir(), "gone")
	if _, err := Inspect(nil, linux); !errdefs.IsNotFound(err) {
		t.Errorf("a path that leads nowhere: %v", err)
	}
	_, missing := os.Stat("/sys/module/apparmor")
	h, err = Inspect(&specs.Process{ApparmorProfile: "p"}, nil)
	if err != nil || h.AppArmor && missing != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestSysctls(t *testing.T) {
	own := config.Namespace{New: true}
	all := config.Namespaces{Net: own, IPC: own, UTS: own, User: own}
	got, err := sysctls(map[string]string{
		"net.ipv4.ip_forward":          "1",
		"net/ipv4/conf/eth0.1/x":       "2",
		"net.ipv4.conf.eth0/1.y":       "3",
		"kernel.shmmax":                "4",
		"fs.mqueue.msg_max":            "5",
		"kernel.domainname":            "d",
		"user.max_user_namespaces":     "6",
		"net/ipv4/ip_unprivileged_now": "",
	}, all)
	says(t, err, "")
	want := map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv4/conf/eth0.1/x": "2", "net/ipv4/conf/eth0.1/y": "3", "kernel/shmmax": "4",
		"fs/mqueue/msg_max": "5", "kernel/domainname": "d", "user/max_user_namespaces": "6", "net/ipv4/ip_unprivileged_now": "",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	for name, words := range map[string]string{
		"net.ipv4.x": "host's network namespace", "kernel.sem": "host's IPC", "fs.mqueue.x": "host's IPC",
		"kernel.domainname": "host's UTS", "user.x": "host's user namespace",
	} {
		_, err := sysctls(map[string]string{name: "1"}, config.Namespaces{})
		says(t, err, words)
	}
	for name, words := range map[string]string{
		"kernel.hostname": "hostname instead", "vm.swappiness": "of the whole machine", "kernel.core_pattern": "of the whole machine",
		"net": "of the whole machine", "": "not a name", "net..x": "not a name", "net/../kernel/core_pattern": "not a name",
		"net./.": "not a name", "net.x\x00": "NUL",
	} {
		_, err := sysctls(map[string]string{name: "1"}, all)
		says(t, err, words)
	}
	_, err = sysctls(map[string]string{"net.x": "\x00"}, all)
	says(t, err, "NUL")
}

func TestCgroup(t *testing.T) {
	for p, want := range map[string]config.Cgroup{
		"/docker/x":               {Path: "/docker/x"},
		"docker/x/":               {Path: "/docker/x"},
		"../../x":                 {Path: "/x"},
		"":                        {Path: "/c1", Optional: true},
		"system.slice:docker:x":   {Slice: "system.slice", Prefix: "docker", Name: "x"},
		":cri-containerd:x":       {Prefix: "cri-containerd", Name: "x"},
		"/kubepods.slice:a:b":     {Path: "/kubepods.slice:a:b"},
		"a:b:c":                   {Path: "/a:b:c"},
		"a-b.slice::x":            {Slice: "a-b.slice", Name: "x"},
		"/sys.slice/x.scope:y":    {Path: "/sys.slice/x.scope:y"},
		"kubepods-pod_1.slice:q:": {},
	} {
		got, err := cgroupPath("c1", p)
		if want == (config.Cgroup{}) {
			says(t, err, "names no scope")
			continue
		}
		says(t, err, "")
		if got != want {
			t.Errorf("%q: %+v", p, got)
		}
	}
	for _, p := range []string{"/", "..", "/a/.."} {
		_, err := cgroupPath("c1", p)
		says(t, err, "is the root")
	}
	_, err := cgroupPath("c1", "/a\x00")
	says(t, err, "NUL")
	score := 1001
	_, err = cgroup("c1", &specs.Linux{}, &score)
	says(t, err, "oomScoreAdj 1001")
}

func TestResources(t *testing.T) {
	in := &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
		Unified: map[string]string{"memory.high": "max"},
	}
	got, err := resources(in)
	says(t, err, "")
	if len(in.Devices) != 1 || got.Unified["memory.high"] != "max" || got.Devices[0].Access != "rwm" {
		t.Errorf("%+v became %+v", in, got)
	}
	null := slices.IndexFunc(got.Devices, func(d specs.LinuxDeviceCgroup) bool {
		return d.Allow && d.Major != nil && *d.Major == 1 && d.Minor != nil && *d.Minor == 3
	})
	if null < 1 {
		t.Errorf("/dev/null may not be used: %+v", got.Devices)
	}
	if got, err := resources(nil); err != nil || len(got.Devices) == 0 {
		t.Errorf("without resources: %+v, %v", got, err)
	}
	for words, d := range map[string]specs.LinuxDeviceCgroup{
		"unknown type":   {Type: "u", Access: "r"},
		`access ""`:      {Type: "c"},
		`access "rwx"`:   {Type: "c", Access: "rwx"},
		"devices[0] has": {Type: "\x00", Access: "r"},
	} {
		_, err := resources(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{d}})
		says(t, err, words)
	}
}

func TestHooks(t *testing.T) {
	zero := 0
	good := &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/usr/bin/nerdctl", Args: []string{"nerdctl"}, Env: []string{"A=b"}}}}
	if got, err := hooks(good); got != good || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, none := range []*specs.Hooks{nil, {}} {
		if got, err := hooks(none); got != nil || err != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for words, h := range map[string]*specs.Hooks{
		`hooks.prestart[0]: the path "x" is not absolute`: {Prestart: []specs.Hook{{Path: "x"}}},
		"hooks.poststop[1]: the timeout 0":                {Poststop: []specs.Hook{{Path: "/x"}, {Path: "/x", Timeout: &zero}}},
		"hooks.startContainer[0]: the path":               {StartContainer: []specs.Hook{{Path: "/x\x00"}}},
		"hooks.poststart[0]: an argument":                 {Poststart: []specs.Hook{{Path: "/x", Args: []string{"\x00"}}}},
		"hooks.createContainer[0]: an argument":           {CreateContainer: []specs.Hook{{Path: "/x", Env: []string{"\x00"}}}},
	} {
		_, err := hooks(h)
		says(t, err, words)
	}
}
