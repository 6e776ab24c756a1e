// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package net

import (
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel takes the address of a Unix socket as a path of at most 108 bytes
// relative to the working directory, and knows no bindat or connectat. So the
// directory is opened within the guest's preopens and made the working
// directory for the one call, whose path is then a single name. A guest is one
// thread, and nothing else in its process depends on the working directory.

// bindPath binds the socket to a new name.
func (s *Socket) bindPath(p string) Errno {
	if !s.net.policy.BindPath(p) {
		return syscall.EACCES
	}
	return s.at(p, true, func(_ int, sa *sockaddr) Errno { return bind(s.fd, sa) })
}

// connectPath connects to a socket by name.
func (s *Socket) connectPath(p string) Errno {
	if !s.net.policy.ConnectPath(p) {
		return syscall.EACCES
	}
	return s.at(p, false, func(dir int, sa *sockaddr) Errno {
		if errno := isSocket(dir, path.Base(p)); errno != 0 {
			return errno
		}
		return s.finish(connect(s.fd, sa))
	})
}

// sendPath sends a datagram to a socket by name.
func (s *Socket) sendPath(iovs [][]byte, p string) (n int, errno Errno) {
	if !s.net.policy.ConnectPath(p) {
		return 0, syscall.EACCES
	}
	errno = s.at(p, false, func(dir int, sa *sockaddr) Errno {
		if errno := isSocket(dir, path.Base(p)); errno != 0 {
			return errno
		}
		var errno Errno
		n, errno = s.send(iovs, sa)
		return errno
	})
	return n, errno
}

// isSocket keeps a symbolic link, which connect would follow, from leading a
// granted name to another.
func isSocket(dir int, name string) Errno {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err.(syscall.Errno)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return syscall.ECONNREFUSED
	}
	return 0
}

// at calls f with the directory of a path as the working directory and the
// path's last name as an address, which f makes if change is set.
func (s *Socket) at(p string, change bool, f func(dir int, sa *sockaddr) Errno) Errno {
	parent, name := path.Split(p)
	var sa sockaddr
	if errno := sa.setPath(name); errno != 0 {
		return errno
	}
	dir, errno := s.net.OpenDir(parent, change)
	if errno != 0 {
		return errno
	}
	defer closeFD(dir)
	old, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.(syscall.Errno)
	}
	defer closeFD(old)
	if err := unix.Fchdir(dir); err != nil {
		return err.(syscall.Errno)
	}
	defer unix.Fchdir(old)
	return f(dir, &sa)
}
