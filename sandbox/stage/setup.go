// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/mount"
)

// setup makes the container of the namespaces that the process was born in.
func setup(conn *control.Conn, frame *control.Frame) error {
	var s control.Setup
	if err := frame.Decode(&s); err != nil {
		return err
	}
	trees := frame.Files
	next := func() (int, error) {
		if len(trees) == 0 {
			return -1, errors.New("a prepared mount is missing")
		}
		fd := int(trees[0].Fd())
		trees = trees[1:]
		return fd, nil
	}
	unix.Umask(0) // modes are given as they shall be
	if s.Loopback {
		if err := loopback(); err != nil {
			return err
		}
	}
	if err := names(&s); err != nil {
		return err
	}
	if err := sysctls(s.Sysctl); err != nil {
		return err
	}
	tree, err := next()
	if err != nil {
		return err
	}
	root, err := mount.NewRoot(s.Root, tree)
	if err != nil {
		return err
	}
	if err := fill(root, &s, next); err != nil {
		return err
	}
	if s.Hooks {
		if err := waitForHooks(conn); err != nil {
			return err
		}
	}
	return root.Enter(s.Root.Readonly)
}

// fill makes all that lies below the root.
func fill(root mount.Root, s *control.Setup, next func() (int, error)) error {
	for i := range s.Mounts {
		tree := -1
		if s.Mounts[i].Tree {
			var err error
			if tree, err = next(); err != nil {
				return err
			}
		}
		if err := root.Attach(&s.Mounts[i], tree); err != nil {
			return classify(err)
		}
	}
	for i := range s.Devices {
		if err := device(root, s, i, next); err != nil {
			return classify(err)
		}
	}
	// As runc does. Where it cannot be made, entering it says why.
	if fd, err := root.Directory(s.Cwd, 0o755); err == nil {
		_ = unix.Close(fd)
	}
	for _, name := range s.ReadonlyPaths {
		if err := root.Protect(name); err != nil {
			return err
		}
	}
	for _, name := range s.MaskedPaths {
		if err := root.Mask(name); err != nil {
			return err
		}
	}
	return nil
}

func device(root mount.Root, s *control.Setup, i int, next func() (int, error)) error {
	d := &s.Devices[i]
	if !s.BindDevices {
		return root.Device(d)
	}
	node, err := next()
	if err != nil {
		return err
	}
	return root.BindDevice(d, node)
}

// classify gives an error of the bundle's making its kind.
func classify(err error) error {
	return control.Errorf(errdefs.ErrInvalidArgument, "%v", err)
}

// waitForHooks lets the shim run the hooks that see the mounts but not yet the
// root.
func waitForHooks(conn *control.Conn) error {
	if err := conn.Send(control.TypeMounted, nil); err != nil {
		return err
	}
	frame, err := conn.Receive()
	if err != nil {
		return err
	}
	defer frame.Close()
	if frame.Type != control.TypeGoOn {
		return unexpected(frame)
	}
	return nil
}

func names(s *control.Setup) error {
	if s.Hostname != "" {
		if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
			return fmt.Errorf("setting the host name: %w", err)
		}
	}
	if s.Domainname != "" {
		if err := unix.Setdomainname([]byte(s.Domainname)); err != nil {
			return fmt.Errorf("setting the domain name: %w", err)
		}
	}
	return nil
}

// sysctls are written through the host's /proc, while it can still be seen: the
// kernel gives each process the values of its own namespaces there.
func sysctls(values map[string]string) error {
	for key, value := range values {
		if err := sysctl(key, value); err != nil {
			return control.Errorf(errdefs.ErrInvalidArgument, "sysctl %s: %v", strings.ReplaceAll(key, "/", "."), err)
		}
	}
	return nil
}

func sysctl(key, value string) error {
	fd, err := unix.Open(path.Join("/proc/sys", path.Clean("/"+key)), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}

// loopback brings up the loopback device of a new network namespace.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bringing up the loopback device: %w", err)
	}
	defer unix.Close(fd)
	ifreq, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifreq.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifreq); err != nil {
		return fmt.Errorf("bringing up the loopback device: %w", err)
	}
	return nil
}
