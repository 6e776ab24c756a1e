// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// mapped are the ids of a user namespace, or of a mount.
func mapped(container, host uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: 65536}}
}

// mountable is an image with the mount points that a user namespace's root may
// not make in it.
func mountable(t *testing.T, node *harness.Node) string {
	t.Helper()
	img := harness.GuestsImage(t)
	img.Name = "docker.io/library/mountable-userns:test"
	for _, name := range []string{"dev", "proc", "sys", "run", "data"} {
		img.Files = append(img.Files, image.Dir(name, 0o755))
	}
	node.Import(t, img)
	return img.Name
}

// owner is the host's user and group of a file.
func owner(t *testing.T, path string) (uid, gid uint32) {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Uid, stat.Gid
}

// TestJoinedUserNamespace: the user namespace of another container, by path.
func TestJoinedUserNamespace(t *testing.T) {
	node, dir := harness.Shared(t), scratch(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	name, ids := mountable(t, node), mapped(0, 300000)
	first := node.Container(t, name, "/box.wasm", "wait").With(oci.WithUserNamespace(ids, ids)).Interactive().Start()
	path := fmt.Sprintf("/proc/%d/ns/user", first.Pid())
	at := func(path string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace, Path: path})
		}
	}
	second := node.Container(t, name, "/box.wasm", "write", "/data/f", "x", ",", "echo", "up", ",", "wait").
		Bind(dir, "/data").Spec(at(path)).Interactive().Start()
	second.Expect("up")
	ours, err1 := os.Readlink(path)
	theirs, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", second.Pid()))
	host, err3 := os.Readlink("/proc/self/ns/user")
	if err1 != nil || err2 != nil || err3 != nil || ours != theirs || ours == host {
		t.Errorf("the first is in %s, the second in %s, the host in %s; %v, %v, %v", ours, theirs, host, err1, err2, err3)
	}
	if uid, gid := owner(t, dir+"/f"); uid != 300000 || gid != 300000 {
		t.Errorf("what the namespace's root wrote belongs to %d:%d", uid, gid)
	}
	second.Exec("box", "echo", "hi").Run().Is(0, "hi\n")
	for _, task := range []*harness.Task{second, first} {
		task.CloseStdin()
		task.Wait().Exits(0)
		task.Delete()
	}
	for _, wrong := range []string{"/proc/self/ns/uts", "/etc/hostname", "/no/such/namespace"} {
		sentence(t, node.Container(t, name, "/box.wasm", "true").Spec(at(wrong)).Refused(wrong, "user namespace"))
	}
}

// TestIdmappedMounts: the ids of a bind mount are others in the container than
// on the disk, both ways.
func TestIdmappedMounts(t *testing.T) {
	node := harness.Shared(t)
	tmpfs := scratch(t)
	mount(t, tmpfs, "mode=755")
	for kind, dir := range map[string]string{"disk": scratch(t), "tmpfs": tmpfs} {
		t.Run(kind, func(t *testing.T) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			put(t, dir+"/private", "root's own\n", 0o600)
			bind := func(ids []specs.LinuxIDMapping) specs.Mount {
				return specs.Mount{Type: "bind", Source: dir, Destination: "/data", Options: []string{"bind", "rw"}, UIDMappings: ids, GIDMappings: ids}
			}
			as1000 := []string{"try", "cat", "/data/private", ",", "try", "write", "/data/f", "x"}
			node.Guest(t, "box", as1000...).User(1000, 1000).Mount(bind(nil)).Run().
				Is(0, "box: /data/private: Permission denied\nbox: /data/f: Permission denied\n")
			node.Guest(t, "box", as1000...).User(1000, 1000).Mount(bind(mapped(0, 1000))).Run().Is(0, "root's own\n")
			if uid, gid := owner(t, dir+"/f"); uid != 0 || gid != 0 {
				t.Errorf("what user 1000 wrote belongs to %d:%d on the disk", uid, gid)
			}
			// The ids of the container's user namespace.
			ids := mapped(0, 300000)
			m := bind(nil)
			m.Options = append(m.Options, "idmap")
			node.Container(t, mountable(t, node), "/box.wasm", "cat", "/data/private", ",", "write", "/data/g", "x").
				With(oci.WithUserNamespace(ids, ids)).Mount(m).Run().Is(0, "root's own\n")
			if uid, gid := owner(t, dir+"/g"); uid != 0 || gid != 0 {
				t.Errorf("what the namespace's root wrote belongs to %d:%d on the disk", uid, gid)
			}
		})
	}
}
