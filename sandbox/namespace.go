// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/fork"
)

// namespaces are a container's, as its first process is born into them.
type namespaces struct {
	join []fork.Join // user last
	new  uint64      // CLONE_NEW… flags
	user *os.File    // the user namespace, also among join; nil for the host's
	own  int         // CLONE_NEW… flags of all that are not the host's, but the user's
}

// kinds of namespaces in the order in which they are joined: the user namespace
// last, since the others may belong to the host's.
func kinds(n *config.Namespaces) []struct {
	config.Namespace
	flag int
	name string
	host string
} {
	return []struct {
		config.Namespace
		flag int
		name string
		host string // the host's, which is the shim's own
	}{
		{n.Net, unix.CLONE_NEWNET, "network", "/proc/self/ns/net"},
		{n.PID, unix.CLONE_NEWPID, "pid", "/proc/self/ns/pid"},
		{n.IPC, unix.CLONE_NEWIPC, "ipc", "/proc/self/ns/ipc"},
		{n.UTS, unix.CLONE_NEWUTS, "uts", "/proc/self/ns/uts"},
		{n.Cgroup, unix.CLONE_NEWCGROUP, "cgroup", "/proc/self/ns/cgroup"},
		{n.User, unix.CLONE_NEWUSER, "user", "/proc/self/ns/user"},
	}
}

// openNamespaces opens what is joined and makes a user namespace where a new
// one is wanted. The caller closes the result.
func openNamespaces(n *config.Namespaces) (_ *namespaces, err error) {
	if n.Mount.Path != "" {
		return nil, control.Errorf(errdefs.ErrInvalidArgument,
			"the mount namespace %s cannot be joined: a container has one of its own", n.Mount.Path)
	}
	ns := &namespaces{new: unix.CLONE_NEWNS, own: unix.CLONE_NEWNS}
	defer func() {
		if err != nil {
			ns.close()
		}
	}()
	for _, k := range kinds(n) {
		if k.Own() && k.flag != unix.CLONE_NEWUSER {
			ns.own |= k.flag
		}
		switch {
		case k.Path != "":
			err = ns.open(k.Path, k.host, k.flag, k.name)
		case !k.New:
		case k.flag == unix.CLONE_NEWUSER:
			var f *os.File
			if f, err = fork.UserNamespace(n.UIDMappings, n.GIDMappings); err == nil {
				ns.add(f, k.flag, k.name)
			}
		default:
			ns.new |= uint64(k.flag)
		}
		if err != nil {
			return nil, err
		}
	}
	return ns, nil
}

func (ns *namespaces) add(f *os.File, flag int, name string) {
	ns.join = append(ns.join, fork.Join{Namespace: f, Flags: flag, What: "the " + name + " namespace"})
	if flag == unix.CLONE_NEWUSER {
		ns.user = f
	}
}

// open opens a namespace by its path, once, and makes sure that it is one of
// the wanted kind and not the host's: that was found out by the path before
// grants were made by it, and a path with a pid in it may lead elsewhere by now.
func (ns *namespaces) open(path, host string, flag int, name string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return control.Errorf(errdefs.ErrInvalidArgument, "the %s namespace %s cannot be opened: %v", name, path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := checkNamespace(fd, flag); err != nil {
		f.Close()
		return control.Errorf(errdefs.ErrInvalidArgument, "%s is not a %s namespace: %v", path, name, err)
	}
	if same(fd, host) {
		f.Close()
		return control.Errorf(errdefs.ErrInvalidArgument, "%s is the host's %s namespace now, not another container's", path, name)
	}
	ns.add(f, flag, name)
	return nil
}

func checkNamespace(fd, flag int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	if st.Type != unix.NSFS_MAGIC {
		return fmt.Errorf("it is no namespace at all")
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		return err
	}
	if kind != flag {
		return fmt.Errorf("it is one of another kind")
	}
	return nil
}

// same reports whether an open file lies at path.
func same(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

func (ns *namespaces) close() {
	for _, j := range ns.join {
		j.Namespace.Close()
	}
}
