// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"fmt"
	"os"
	"path"
	"runtime"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

func tmpfs(flags uintptr, data string) config.Mount {
	return config.Mount{Type: "tmpfs", Source: "tmpfs", Flags: flags, Data: data}
}

// nodeMode is the type and permission bits of a device node.
func nodeMode(d *config.Device) (uint32, error) {
	switch d.Type {
	case "c", "u":
		return unix.S_IFCHR | d.FileMode&0o7777, nil
	case "b":
		return unix.S_IFBLK | d.FileMode&0o7777, nil
	case "p":
		return unix.S_IFIFO | d.FileMode&0o7777, nil
	}
	return 0, fmt.Errorf("device %s: unknown type %q", d.Path, d.Type)
}

// makeNode makes a device node with its owner and mode, the umask being 0: a
// mode that is set afterwards by name would be set through a link, too, that
// somebody has put in the node's place, and on a file of the host.
func makeNode(dir int, name string, mode uint32, d *config.Device, uid, gid int) error {
	dev := unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	if err := unix.Mknodat(dir, name, mode, int(dev)); err != nil {
		return err
	}
	return unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

// Device makes a device node below r, or leaves one that is as it should be. The
// umask must be 0.
func (r Root) Device(d *config.Device) error {
	if err := r.device(d); err != nil {
		return fmt.Errorf("device %s: %w", d.Path, err)
	}
	return nil
}

func (r Root) device(d *config.Device) error {
	mode, err := nodeMode(d)
	if err != nil {
		return err
	}
	dir, name := path.Split(path.Clean("/" + d.Path))
	parent, err := r.Directory(dir, 0o755)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	err = makeNode(parent, name, mode, d, int(d.UID), int(d.GID))
	if err != unix.EEXIST {
		return err
	}
	return isNode(parent, name, d)
}

// isNode checks that a file, or dir itself with the name "", is d's node.
func isNode(dir int, name string, d *config.Device) error {
	mode, err := nodeMode(d)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != mode&unix.S_IFMT || st.Rdev != unix.Mkdev(uint32(d.Major), uint32(d.Minor)) {
		return fmt.Errorf("something else lies there: %w", unix.EEXIST)
	}
	return nil
}

// BindDevice puts a node that Nodes made below r.
func (r Root) BindDevice(d *config.Device, node int) error {
	target, err := r.File(d.Path)
	if err != nil {
		return fmt.Errorf("device %s: %w", d.Path, err)
	}
	defer unix.Close(target)
	if err := move(node, target); err != nil {
		return fmt.Errorf("device %s: %w", d.Path, err)
	}
	return nil
}

// Nodes makes device nodes for a container whose user namespace may not make
// any: on a file system that nothing else sees, each as a detached mount.
func Nodes(devices []config.Device, uids, gids []specs.LinuxIDMapping) (nodes []*os.File, err error) {
	if len(devices) == 0 {
		return nil, nil
	}
	err = aside(func() error {
		dir, err := attached()
		if err != nil {
			return fmt.Errorf("making device nodes: %w", err)
		}
		defer unix.Close(dir)
		for i := range devices {
			d, name := &devices[i], strconv.Itoa(i)
			node, err := newNode(dir, name, d, HostID(d.UID, uids), HostID(d.GID, gids))
			if err != nil {
				return fmt.Errorf("device %s: %w", d.Path, err)
			}
			nodes = append(nodes, os.NewFile(uintptr(node), d.Path))
		}
		return nil
	})
	if err != nil {
		for _, n := range nodes {
			n.Close()
		}
		return nil, err
	}
	return nodes, nil
}

// HostNodes opens the host's own nodes of devices, for a rootless container,
// whose shim may make none either. Their owner and mode are the host's.
func HostNodes(devices []config.Device) (nodes []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, n := range nodes {
				n.Close()
			}
			nodes = nil
		}
	}()
	for i := range devices {
		d := &devices[i]
		node, err := unix.OpenTree(unix.AT_FDCWD, d.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return nodes, fmt.Errorf("device %s of the host: %w", d.Path, err)
		}
		nodes = append(nodes, os.NewFile(uintptr(node), d.Path))
		if err := isNode(node, "", d); err != nil {
			return nodes, fmt.Errorf("device %s of the host: %w", d.Path, err)
		}
	}
	return nodes, nil
}

// attached is a new file system on the root of the thread's mount namespace.
func attached() (int, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return -1, err
	}
	dir, err := fresh(&Plan{Mount: tmpfs(0, "mode=755,size=4k")}, -1)
	if err != nil {
		return -1, err
	}
	if err := unix.MoveMount(dir, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		_ = unix.Close(dir)
		return -1, err
	}
	return dir, nil
}

func newNode(dir int, name string, d *config.Device, uid, gid int) (int, error) {
	mode, err := nodeMode(d)
	if err != nil {
		return -1, err
	}
	if err := makeNode(dir, name, mode, d, uid, gid); err != nil {
		return -1, err
	}
	return unix.OpenTree(dir, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
}

// aside calls do on a thread with a mount namespace of its own, both of which
// end with the call: before Linux 6.15 a mount can be cloned only where it is
// attached in the caller's namespace.
func aside(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The process is seen by its first thread, which must stay as it is.
			err := aside(do)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			done <- fmt.Errorf("making a mount namespace for device nodes: %w", err)
			return
		}
		unix.Umask(0) // the thread's own, which comes with the namespace
		done <- do()
	}()
	return <-done
}

// HostID is the host's number of a container's id, the host's 0 where the
// mapping does not tell.
func HostID(id uint32, m []specs.LinuxIDMapping) int {
	for _, e := range m {
		if id >= e.ContainerID && id-e.ContainerID < e.Size {
			return int(e.HostID + id - e.ContainerID)
		}
	}
	return 0
}
