// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/encoding/protowire"

	"containerd-shim-wazero/oci/wire"
)

// message is one field after the other.
func message(fields ...func([]byte) []byte) (b []byte) {
	for _, f := range fields {
		b = f(b)
	}
	return b
}

func str(number protowire.Number, s string) func([]byte) []byte {
	return func(b []byte) []byte { return wire.AppendString(b, number, s) }
}

func num(number protowire.Number, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { return wire.AppendVarint(b, number, v) }
}

func sub(number protowire.Number, fields ...func([]byte) []byte) func([]byte) []byte {
	return str(number, string(message(fields...)))
}

const typeURL = "types.example/runtime.v1.PodSandboxConfig"

func TestDecode(t *testing.T) {
	mapping := []func([]byte) []byte{num(1, 200000), num(2, 0), num(3, 65536)}
	got, err := Decode(typeURL, message(
		sub(1, str(1, "name"), str(2, "uid"), str(3, "space"), num(4, 7)),
		str(2, "host"), str(3, "/var/log/pods"),
		sub(4, str(1, "10.0.0.1"), str(1, "10.0.0.2"), str(2, "a.local"), str(3, "ndots:5")),
		sub(7, str(1, "key"), str(2, "value")),
		sub(8, str(1, "kubepods"), sub(3, str(1, "net.core.somaxconn"), str(2, "64")),
			sub(2, sub(1, num(1, 2), num(2, 1), num(3, 2), sub(5, num(1, 0), sub(2, mapping...), sub(3, mapping...))))),
	))
	if err != nil {
		t.Fatal(err)
	}
	ids := []specs.LinuxIDMapping{{HostID: 200000, Size: 65536}}
	want := &Config{
		Name: "name", UID: "uid", Namespace: "space", Hostname: "host",
		DNS:          DNS{Servers: []string{"10.0.0.1", "10.0.0.2"}, Searches: []string{"a.local"}, Options: []string{"ndots:5"}},
		Annotations:  map[string]string{"key": "value"},
		CgroupParent: "kubepods",
		Sysctls:      map[string]string{"net.core.somaxconn": "64"},
		Network:      ModeNode, PID: 1, IPC: ModeNode,
		UIDs: ids, GIDs: ids,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeBad(t *testing.T) {
	good := message(sub(1, str(1, "name")))
	for name, c := range map[string]struct {
		typeURL string
		value   []byte
	}{
		"another type":       {"types.example/runtime.v1.ContainerConfig", good},
		"no type":            {"", good},
		"cut short":          {typeURL, good[:len(good)-1]},
		"metadata cut short": {typeURL, message(str(1, "\x0a\x05x"))},
		"users of a target":  {typeURL, message(sub(8, sub(2, sub(1, sub(5, num(1, 3))))))},
		"no users mapped":    {typeURL, message(sub(8, sub(2, sub(1, sub(5, sub(3, num(3, 1)))))))},
	} {
		if _, err := Decode(c.typeURL, c.value); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v, want an invalid argument", name, err)
		}
	}
}

// The host's own user namespace is asked for with a mode, mappings or not.
func TestDecodeHostUsers(t *testing.T) {
	c, err := Decode(typeURL, message(sub(8, sub(2, sub(1, sub(5, num(1, 2), sub(2, num(1, 5), num(3, 1))))))))
	if err != nil || c.UIDs != nil {
		t.Errorf("%+v, %v: want no mappings", c, err)
	}
}

func TestSpec(t *testing.T) {
	c := &Config{Hostname: "host", CgroupParent: "/kubepods.slice/kubepods-pod1.slice", Sysctls: map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}}
	spec := Spec("id", c, Joined{Network: "/run/netns/x"})
	if spec.Linux.CgroupsPath != "kubepods-pod1.slice:cri-containerd:id" {
		t.Errorf("cgroup %s", spec.Linux.CgroupsPath)
	}
	want := []specs.LinuxNamespace{
		{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace, Path: "/run/netns/x"},
		{Type: specs.UTSNamespace}, {Type: specs.PIDNamespace}, {Type: specs.IPCNamespace},
	}
	if !reflect.DeepEqual(spec.Linux.Namespaces, want) {
		t.Errorf("namespaces %v, want %v", spec.Linux.Namespaces, want)
	}
	if got := spec.Linux.Sysctl; got["net.ipv4.ip_unprivileged_port_start"] != "80" || got["net.ipv4.ping_group_range"] == "" {
		t.Errorf("sysctls %v", got)
	}

	host := Spec("id", &Config{Hostname: "host", CgroupParent: "/kubepods/pod1", Network: ModeNode, PID: ModeNode, IPC: ModeNode}, Joined{})
	if len(host.Linux.Namespaces) != 1 || host.Hostname != "" || len(host.Linux.Sysctl) != 0 {
		t.Errorf("a pod of the host's namespaces has %v, the name %q and %v", host.Linux.Namespaces, host.Hostname, host.Linux.Sysctl)
	}
	if host.Linux.CgroupsPath != "/kubepods/pod1/id" {
		t.Errorf("cgroup %s", host.Linux.CgroupsPath)
	}
}

func TestFiles(t *testing.T) {
	bundle := t.TempDir()
	if err := WriteFiles(bundle, &Config{Hostname: "host", DNS: DNS{Servers: []string{"10.0.0.1"}, Searches: []string{"a", "b"}}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"hostname": "host\n", "resolv.conf": "search a b\nnameserver 10.0.0.1\n"} {
		if got, err := os.ReadFile(filepath.Join(bundle, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	spec := &specs.Spec{Root: &specs.Root{Readonly: true}, Mounts: []specs.Mount{
		{Type: "tmpfs", Destination: "/dev/shm/"}, {Type: "bind", Source: "/kubelet/hosts", Destination: "/etc/hosts"},
	}}
	AddFiles(spec, bundle, "/pod/shm")
	sources := map[string]string{}
	for _, m := range spec.Mounts {
		sources[m.Destination] = m.Source + " " + m.Type
		if m.Destination == "/etc/hostname" && m.Options[2] != "ro" {
			t.Errorf("a file in a read-only root is mounted %v", m.Options)
		}
	}
	want := map[string]string{
		"/dev/shm": "/pod/shm bind", "/etc/hosts": "/kubelet/hosts bind",
		"/etc/hostname": bundle + "/hostname bind", "/etc/resolv.conf": bundle + "/resolv.conf bind",
	}
	if !reflect.DeepEqual(sources, want) {
		t.Errorf("mounts %v, want %v", sources, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(message(sub(1, str(1, "name")), sub(8, sub(2, sub(1, sub(5, sub(2, num(1, 1))))))))
	f.Fuzz(func(_ *testing.T, value []byte) { Decode(typeURL, value) })
}
