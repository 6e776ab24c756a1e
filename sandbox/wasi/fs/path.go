// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fs

import (
	"bytes"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxPath is the length of the longest path, as PATH_MAX has it without its NUL.
const MaxPath = unix.PathMax - 1

// pathBuffer holds a path with its NUL for the kernel.
type pathBuffer [unix.PathMax]byte

var empty [1]byte

// set checks a guest's path and copies it: relative, not empty, no NUL.
func (b *pathBuffer) set(path []byte) Errno {
	switch {
	case len(path) == 0:
		return syscall.ENOENT
	case len(path) > MaxPath:
		return syscall.ENAMETOOLONG
	case path[0] == '/':
		return syscall.EPERM // outside of the directory: wasmtime's answer
	case bytes.IndexByte(path, 0) >= 0:
		return syscall.EINVAL
	}
	b[copy(b[:], path)] = 0
	return 0
}

// split cuts the path in the buffer, of length n, before its last component, to
// which trailing slashes belong. An empty parent is the directory itself.
func (b *pathBuffer) split(n int) (parent, last *byte, lastLen int) {
	end := n
	for end > 0 && b[end-1] == '/' {
		end--
	}
	slash := bytes.LastIndexByte(b[:end], '/')
	if slash < 0 {
		return &empty[0], &b[0], n
	}
	b[slash] = 0
	return &b[0], &b[slash+1], n - slash - 1
}

// resolution is how openat2 resolves a path below f. Where f is the root, an
// absolute link starts again at it and ".." stops there; but a path that itself
// counts more ".." than names asks for what is outside, and is refused.
func (f *File) resolution(path []byte) uint64 {
	if f.root && !climbs(path) {
		return unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	}
	return unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
}

// climbs says whether a path goes above its beginning, links not considered.
func climbs(path []byte) bool {
	if !bytes.Contains(path, []byte("..")) {
		return false
	}
	depth := 0
	for part := range bytes.SplitSeq(path, []byte("/")) {
		switch string(part) {
		case "", ".":
		case "..":
			depth--
			if depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// raced bounds how often a resolution is repeated that a rename disturbed.
const raced = 100

// openat2 opens the path in the buffer below f.
func (f *File) openat2(path *byte, flags, mode, resolve uint64) (int, Errno) {
	how := &f.files.how
	*how = unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode, Resolve: resolve}
	for try := 0; ; try++ {
		fd, _, errno := syscall.Syscall6(unix.SYS_OPENAT2, uintptr(f.fd), uintptr(unsafe.Pointer(path)),
			uintptr(unsafe.Pointer(how)), unix.SizeofOpenHow, 0, 0)
		switch errno {
		case 0:
			return int(fd), 0
		case syscall.EXDEV:
			return -1, syscall.EPERM // it would leave the directory
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if flags&unix.O_NONBLOCK == 0 && try < raced {
				continue
			}
		}
		return -1, errno
	}
}

// locate opens what a path names, as a mere location.
func (f *File) locate(path []byte, b *pathBuffer, follow bool) (int, Errno) {
	if errno := b.set(path); errno != 0 {
		return -1, errno
	}
	flags := uint64(unix.O_PATH)
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	return f.openat2(&b[0], flags, 0, f.resolution(path))
}

// place is where a path's last component lives: a directory and a name in it.
type place struct {
	dirfd int
	name  *byte
	len   int
	close bool
}

func (p place) done() {
	if p.close {
		closeFD(p.dirfd)
	}
}

// slash says that the name has a slash behind it.
func (p place) slash() bool {
	return unsafe.Slice(p.name, p.len)[p.len-1] == '/'
}

// place opens the directory of the path's last component, which itself is not
// looked at: it may be missing, or a link.
func (f *File) place(path []byte, b *pathBuffer) (place, Errno) {
	if errno := b.set(path); errno != 0 {
		return place{}, errno
	}
	resolve := f.resolution(path)
	parent, last, n := b.split(len(path))
	if dotdot(unsafe.Slice(last, n)) {
		// What this names is not below its parent: the kernel says whether it is
		// still below f. The operations themselves all refuse such a name.
		if fd, errno := f.locate(path, b, true); errno != 0 {
			return place{}, errno
		} else {
			closeFD(fd)
		}
		parent, last, n = b.split(len(path))
	}
	if *parent == 0 {
		return place{dirfd: f.fd, name: last, len: n}, 0
	}
	fd, errno := f.openat2(parent, unix.O_PATH|unix.O_DIRECTORY, 0, resolve)
	return place{dirfd: fd, name: last, len: n, close: true}, errno
}

func dotdot(name []byte) bool {
	return string(bytes.TrimRight(name, "/")) == ".."
}

// simple says that a path is one name, which can be looked up without leaving
// the directory as long as the last link is not followed.
func simple(path []byte) bool {
	return bytes.IndexByte(path, '/') < 0 && string(path) != ".."
}
