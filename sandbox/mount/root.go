// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// maxSteps bounds the directories to make and the links that lead nowhere on
// the way of one path.
const maxSteps = 255

// Root is a directory that no path leaves: the kernel resolves each one as if
// the directory were the root. Paths come from the bundle and the links on
// their way from the image.
type Root struct{ FD int }

// Open returns a descriptor (O_PATH and flags) of what lies at name.
func (r Root) Open(name string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | uint64(flags),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(r.FD, name, &how)
		// The kernel cannot always tell a rename on the way from an escape.
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

// Directory opens the directory at name, made with what is missing above it.
func (r Root) Directory(name string, mode uint32) (int, error) {
	return r.target(name, 0, func(parent int, base string) error {
		return unix.Mkdirat(parent, base, mode)
	})
}

// File opens what lies at name, an empty file made there if nothing does.
func (r Root) File(name string) (int, error) {
	return r.target(name, 0, func(parent int, base string) error {
		fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	})
}

// target opens name, and makes it where it is missing. Nothing is ever made
// through a link: one that leads nowhere is read, and its target made by the
// same rules.
func (r Root) target(name string, steps int, make func(parent int, base string) error) (int, error) {
	fd, err := r.Open(name, 0)
	if err != unix.ENOENT {
		return fd, err
	}
	if steps > maxSteps {
		return -1, unix.ELOOP
	}
	name = path.Clean("/" + name)
	dir, base := path.Split(name)
	if base == "" {
		return -1, unix.ENOENT
	}
	parent, err := r.target(dir, steps+1, func(parent int, base string) error {
		return unix.Mkdirat(parent, base, 0o755)
	})
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	err = make(parent, base)
	if err == unix.EEXIST {
		if to, lerr := readlink(parent, base); lerr == nil {
			if !path.IsAbs(to) {
				to = path.Join(dir, to)
			}
			return r.target(to, steps+1, make)
		}
	} else if err != nil {
		return -1, err
	}
	return unix.Openat(parent, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func readlink(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// isDir reports whether fd is a directory.
func isDir(fd int) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, fmt.Errorf("looking at a mount's source: %w", err)
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}
