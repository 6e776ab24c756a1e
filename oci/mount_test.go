// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"os"
	"reflect"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

var (
	ids      = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	otherIDs = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 2000, Size: 10}}
)

func TestMount(t *testing.T) {
	bind := func(m config.Mount) config.Mount {
		m.Destination, m.Source, m.Type = "/d", "/s", "bind"
		m.Flags |= unix.MS_BIND
		return m
	}
	for name, c := range map[string]struct {
		in   specs.Mount
		ns   config.Namespaces
		want config.Mount
		says string
	}{
		"tmpfs": {
			in: specs.Mount{Destination: "/d", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "mode=1777", "size=1m", "rprivate"}},
			want: config.Mount{Destination: "/d", Type: "tmpfs", Source: "tmpfs", Data: "mode=1777,size=1m",
				Flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, Propagation: []uintptr{unix.MS_PRIVATE | unix.MS_REC}},
		},
		"tmpfs filled": {
			in:   specs.Mount{Destination: "/d", Type: "tmpfs", Options: []string{"tmpcopyup"}},
			want: config.Mount{Destination: "/d", Type: "tmpfs", CopyUp: true},
		},
		"bind": {
			in:   specs.Mount{Destination: "/d", Type: "none", Source: "/s", Options: []string{"rbind", "ro", "rslave"}},
			want: bind(config.Mount{Flags: unix.MS_REC | unix.MS_RDONLY, Propagation: []uintptr{unix.MS_SLAVE | unix.MS_REC}}),
		},
		"type bind alone": {
			in:   specs.Mount{Destination: "/d", Type: "bind", Source: "/s"},
			want: bind(config.Mount{}),
		},
		"source in the bundle": {
			in:   specs.Mount{Destination: "d/../d/", Type: "bind", Source: "../s", Options: []string{"bind"}},
			want: bind(config.Mount{}),
		},
		"the last option stands": {
			in:   specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "ro", "rw", "suid", "nosuid"}},
			want: bind(config.Mount{Flags: unix.MS_NOSUID, ClearFlags: unix.MS_RDONLY}),
		},
		"recursive": {
			in:   specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "rro", "rsuid", "rdev", "rnodev"}},
			want: bind(config.Mount{RecursiveSet: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV, RecursiveClear: unix.MOUNT_ATTR_NOSUID}),
		},
		"recursive access time": {
			in:   specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "rnoatime"}},
			want: bind(config.Mount{RecursiveSet: unix.MOUNT_ATTR_NOATIME, RecursiveClear: unix.MOUNT_ATTR__ATIME}),
		},
		"relative access time": {
			in:   specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "rrelatime"}},
			want: bind(config.Mount{RecursiveClear: unix.MOUNT_ATTR__ATIME}),
		},
		"idmapped as the container": {
			in:   specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "ridmap"}},
			ns:   config.Namespaces{User: config.Namespace{New: true}, UIDMappings: ids, GIDMappings: ids},
			want: bind(config.Mount{IDMap: &config.IDMap{UID: ids, GID: ids, Recursive: true}}),
		},
		"idmapped as a joined namespace": {
			in:   specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "idmap"}},
			ns:   config.Namespaces{User: config.Namespace{Path: "/ns"}},
			want: bind(config.Mount{IDMap: &config.IDMap{}}),
		},
		"idmapped its own way": {
			in:   specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind"}, UIDMappings: otherIDs, GIDMappings: ids},
			want: bind(config.Mount{IDMap: &config.IDMap{UID: otherIDs, GID: ids}}),
		},
		"idmapped no way":      {in: specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "idmap"}}, says: "neither the mount nor a user namespace"},
		"half a mapping":       {in: specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind"}, UIDMappings: ids}, says: "need both"},
		"empty mapping":        {in: specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind"}, UIDMappings: make([]specs.LinuxIDMapping, 1), GIDMappings: ids}, says: "is not possible"},
		"idmapped tmpfs":       {in: specs.Mount{Destination: "/d", Type: "tmpfs", UIDMappings: ids, GIDMappings: ids}, says: "only bind mounts"},
		"bind with data":       {in: specs.Mount{Destination: "/d", Source: "/s", Options: []string{"bind", "size=1"}}, says: `cannot have the option "size=1"`},
		"bind of nothing":      {in: specs.Mount{Destination: "/d", Options: []string{"bind"}}, says: "no source"},
		"no type":              {in: specs.Mount{Destination: "/d", Source: "/s"}, says: "neither a type nor"},
		"at the root":          {in: specs.Mount{Destination: "/x/..", Type: "tmpfs"}, says: "cannot be a destination"},
		"no destination":       {in: specs.Mount{Type: "tmpfs"}, says: "cannot be a destination"},
		"NUL in the data":      {in: specs.Mount{Destination: "/d", Type: "tmpfs", Options: []string{"a\x00"}}, says: "NUL"},
		"NUL in a destination": {in: specs.Mount{Destination: "/d\x00", Type: "tmpfs"}, says: "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mount(&c.in, "/bundle", c.ns)
			says(t, err, c.says)
			if err == nil && !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestMountsOfTheKernelAreDropped(t *testing.T) {
	fs := func(kind, at string) specs.Mount { return specs.Mount{Destination: at, Type: kind, Source: kind} }
	bind := func(from, at string) specs.Mount {
		return specs.Mount{Destination: at, Type: "none", Source: from, Options: []string{"rbind"}}
	}
	list := []specs.Mount{
		fs("proc", "/proc"), fs("tmpfs", "/dev"), fs("devpts", "/dev/pts"), fs("mqueue", "/dev/mqueue"), fs("tmpfs", "/dev/shm"),
		bind("/sys", "/sys"), fs("cgroup2", "/sys/fs/cgroup"), bind("/var/lib/lxcfs/cpuinfo", "/proc/cpuinfo"),
		bind("/sys", "/host/sys"), fs("tmpfs", "/process"), bind("/x", "/sbin/docker-init"), bind("/etc/hosts", "/etc/hosts"),
	}
	kept, dropped, err := mounts(list, "/b", "/sbin/docker-init", config.Namespaces{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "kept", destinations(&config.Container{Mounts: kept}), []string{"/dev", "/dev/shm", "/host/sys", "/process", "/etc/hosts"})
	same(t, "dropped", dropped, []string{"/proc", "/dev/pts", "/dev/mqueue", "/sys"})

	_, _, err = mounts([]specs.Mount{{Destination: "/a"}}, "/b", "", config.Namespaces{})
	says(t, err, `mount at "/a": it has neither`)
}

func TestMountOptions(t *testing.T) {
	options := MountOptions()
	for _, name := range []string{"rro", "idmap", "tmpcopyup", "rslave", "nosymfollow"} {
		if !slices.Contains(options, name) {
			t.Errorf("%s is missing", name)
		}
	}
	if !slices.IsSorted(options) || len(slices.Compact(slices.Clone(options))) != len(options) {
		t.Errorf("not sorted, or with doubles: %q", options)
	}
}

func TestDevices(t *testing.T) {
	mode := os.FileMode(0o4640)
	uid, gid := uint32(5), uint32(6)
	got, err := devices([]specs.LinuxDevice{
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 5},
		{Path: "/dev//fuse", Type: "u", Major: 10, Minor: 229, FileMode: &mode, UID: &uid, GID: &gid},
		{Path: "/dev/ptmx", Type: "c", Major: 5, Minor: 2},
		{Path: "/run/pipe", Type: "p", Major: 9},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(standardDevices[1:]),
		config.Device{Path: "/dev/null", Type: "c", Major: 1, Minor: 5, FileMode: 0o666},
		config.Device{Path: "/dev/fuse", Type: "u", Major: 10, Minor: 229, FileMode: 0o640, UID: 5, GID: 6},
		config.Device{Path: "/run/pipe", Type: "p", FileMode: 0o666})
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	// Nothing is made in a folder of the host.
	if got, _ := devices(nil, []config.Mount{{Destination: "/dev", Type: "bind"}}); got != nil {
		t.Errorf("in a bound /dev: %+v", got)
	}
	for words, d := range map[string]specs.LinuxDevice{
		"not an absolute path":         {Path: "dev/x", Type: "c"},
		`"/" is not an absolute`:       {Path: "/", Type: "c"},
		"unknown type":                 {Path: "/dev/x", Type: "a"},
		"no possible number -1:1":      {Path: "/dev/x", Type: "c", Major: -1, Minor: 1},
		"no possible number 1:1048576": {Path: "/dev/x", Type: "b", Major: 1, Minor: 1 << 20},
		"NUL":                          {Path: "/dev/x\x00", Type: "c"},
	} {
		_, err := devices([]specs.LinuxDevice{d}, nil)
		says(t, err, words)
	}
}

func TestRoot(t *testing.T) {
	for name, c := range map[string]struct {
		root        *specs.Root
		propagation string
		want        config.Root
		says        string
	}{
		"relative":            {&specs.Root{Path: "rootfs"}, "", config.Root{Path: "/b/rootfs"}, ""},
		"absolute":            {&specs.Root{Path: "/r/", Readonly: true}, "rshared", config.Root{Path: "/r", Readonly: true, Propagation: unix.MS_SHARED | unix.MS_REC}, ""},
		"unknown propagation": {&specs.Root{Path: "/r"}, "private,rw", config.Root{}, "is unknown"},
		"empty":               {&specs.Root{}, "", config.Root{}, "no root"},
		"host":                {&specs.Root{Path: "../../.."}, "", config.Root{}, "host's own root"},
		"NUL":                 {&specs.Root{Path: "/a\x00"}, "", config.Root{}, "NUL"},
	} {
		got, err := root("/b", c.root, c.propagation)
		says(t, err, c.says)
		if err == nil && got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestHiddenPaths(t *testing.T) {
	got, err := hiddenPaths("maskedPaths", []string{"/proc/kcore", "/proc", "/process", "/etc/../secret", "/sys/firmware"}, []string{"/proc", "/sys"})
	says(t, err, "")
	same(t, "paths", got, []string{"/process", "/secret"})
	_, err = hiddenPaths("maskedPaths", []string{"etc"}, nil)
	says(t, err, `linux.maskedPaths: "etc" is not an absolute path`)
	_, err = hiddenPaths("readonlyPaths", []string{"/e\x00"}, nil)
	says(t, err, "NUL")
}
