// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fs

import (
	"bytes"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

// Open says how a file is opened.
type Open struct {
	Read, Write bool
	Create      bool // if it is missing, with mode 0666 less the umask
	Exclusive   bool // with Create: it must be missing
	Truncate    bool
	Directory   bool // it must be a directory
	Follow      bool // the last component may be a symbolic link
	Flags       descriptor.Flags
}

// Open opens a file or directory below the directory. With neither Read nor
// Write the kernel opens it for reading, but reads answer EBADF.
func (f *File) Open(path []byte, o Open) (*File, Errno) {
	if o.Create && o.Directory {
		return nil, syscall.EINVAL
	}
	if f.rdonly && (o.Write || o.Truncate) {
		return nil, syscall.EROFS
	}
	x := f.files
	if errno := x.pathA.set(path); errno != 0 {
		return nil, errno
	}
	resolve := f.resolution(path)
	flags, mode := o.flags()
	if f.rdonly && o.Create {
		return nil, f.refuseCreate(path, resolve, o)
	}
	fd, errno := f.openat2(&x.pathA[0], flags, mode, resolve)
	if errno != 0 {
		if errno == syscall.ENOTDIR && o.Directory && !o.Follow && f.isLink(path) {
			errno = syscall.ELOOP
		}
		return nil, errno
	}
	n := x.file(File{fd: fd, flags: o.Flags, read: o.Read, write: o.Write, rdonly: f.rdonly})
	if o.Directory {
		n.kind = descriptor.Directory
	}
	return n, 0
}

func (o Open) flags() (flags, mode uint64) {
	flags = unix.O_NOCTTY
	switch {
	case o.Read && o.Write:
		flags |= unix.O_RDWR
	case o.Write:
		flags |= unix.O_WRONLY
	}
	if o.Create {
		flags |= unix.O_CREAT
		mode = 0o666
	}
	if o.Exclusive {
		flags |= unix.O_EXCL
	}
	if o.Truncate {
		flags |= unix.O_TRUNC
	}
	if o.Directory {
		flags |= unix.O_DIRECTORY
	}
	if !o.Follow {
		flags |= unix.O_NOFOLLOW
	}
	return flags | openFlags(o.Flags), mode
}

// refuseCreate is the errno for a file that would be created where nothing may
// be changed.
func (f *File) refuseCreate(path []byte, resolve uint64, o Open) Errno {
	fd, errno := f.openat2(&f.files.pathA[0], unix.O_PATH, 0, resolve)
	switch {
	case errno == syscall.ENOENT:
		return syscall.EROFS
	case errno != 0:
		return errno
	}
	closeFD(fd)
	if o.Exclusive {
		return syscall.EEXIST
	}
	return syscall.EROFS
}

func (f *File) isLink(path []byte) bool {
	var st descriptor.Stat
	return f.StatAt(path, false, &st) == 0 && st.Kind == descriptor.SymbolicLink
}

// StatAt asks for the status of what a path names.
func (f *File) StatAt(path []byte, follow bool, st *descriptor.Stat) Errno {
	x := f.files
	if simple(path) {
		if errno := x.pathA.set(path); errno != 0 {
			return errno
		}
		errno := x.fstatat(f.fd, &x.pathA[0], unix.AT_SYMLINK_NOFOLLOW, st)
		if errno != 0 || !follow || st.Kind != descriptor.SymbolicLink {
			return errno
		}
	}
	fd, errno := f.locate(path, &x.pathA, follow)
	if errno != 0 {
		return errno
	}
	errno = x.fstatat(fd, &empty[0], unix.AT_EMPTY_PATH, st)
	closeFD(fd)
	return errno
}

func (x *Files) fstatat(dirfd int, name *byte, flags int, st *descriptor.Stat) Errno {
	_, _, errno := syscall.Syscall6(sysFstatat, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&x.statBuffer)), uintptr(flags), 0, 0)
	if errno == 0 {
		fill(st, &x.statBuffer)
	}
	return errno
}

// SetTimesAt sets the times of what a path names.
func (f *File) SetTimesAt(path []byte, follow bool, atime, mtime Time) Errno {
	if f.rdonly {
		return syscall.EROFS
	}
	fd, errno := f.locate(path, &f.files.pathA, follow)
	if errno != 0 {
		return errno
	}
	errno = f.files.utimens(fd, &empty[0], atime, mtime, unix.AT_EMPTY_PATH)
	closeFD(fd)
	return errno
}

// Mkdir makes a directory, with mode 0777 less the umask.
func (f *File) Mkdir(path []byte) Errno {
	p, errno := f.creation(path, &f.files.pathA)
	if errno != 0 {
		return errno
	}
	defer p.done()
	return at(unix.SYS_MKDIRAT, p, 0o777)
}

// Unlink removes a name that is not a directory's.
func (f *File) Unlink(path []byte) Errno { return f.unlink(path, 0) }

// Rmdir removes an empty directory.
func (f *File) Rmdir(path []byte) Errno { return f.unlink(path, unix.AT_REMOVEDIR) }

func (f *File) unlink(path []byte, flags uintptr) Errno {
	if f.rdonly {
		return syscall.EROFS
	}
	p, errno := f.place(path, &f.files.pathA)
	if errno != 0 {
		return errno
	}
	defer p.done()
	return at(unix.SYS_UNLINKAT, p, flags)
}

func at(nr uintptr, p place, arg uintptr) Errno {
	_, _, errno := syscall.Syscall(nr, uintptr(p.dirfd), uintptr(unsafe.Pointer(p.name)), arg)
	return errno
}

// creation is the place of a name that is to be made.
func (f *File) creation(path []byte, b *pathBuffer) (place, Errno) {
	if f.rdonly {
		var st descriptor.Stat
		switch errno := f.StatAt(path, false, &st); errno {
		case 0:
			return place{}, syscall.EEXIST
		case syscall.ENOENT:
			return place{}, syscall.EROFS
		default:
			return place{}, errno
		}
	}
	return f.place(path, b)
}

// Symlink makes a symbolic link to target, which may name anything, or nothing,
// but must be relative (EPERM).
func (f *File) Symlink(target, path []byte) Errno {
	x := f.files
	if errno := x.pathB.set(target); errno != 0 {
		return errno
	}
	p, errno := f.creation(path, &x.pathA)
	if errno != 0 {
		return errno
	}
	defer p.done()
	_, _, errno = syscall.Syscall(unix.SYS_SYMLINKAT, uintptr(unsafe.Pointer(&x.pathB[0])),
		uintptr(p.dirfd), uintptr(unsafe.Pointer(p.name)))
	return errno
}

// Readlink reads where a symbolic link leads, as much as the buffer holds.
func (f *File) Readlink(path, buffer []byte) (int, Errno) {
	fd, errno := f.locate(path, &f.files.pathA, false)
	if errno != 0 {
		return 0, errno
	}
	defer closeFD(fd)
	if len(buffer) == 0 {
		// The kernel refuses an empty buffer, the definition does not.
		var target [1]byte
		_, errno = readlink(fd, target[:])
		return 0, errno
	}
	return readlink(fd, buffer)
}

func readlink(fd int, buffer []byte) (int, Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_READLINKAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(unsafe.SliceData(buffer))), uintptr(len(buffer)), 0, 0)
	if errno == syscall.ENOENT {
		errno = syscall.EINVAL // what an empty path says of something that is no link
	}
	return int(n), errno
}

// Rename moves what path names in f to the name to in dir.
func (f *File) Rename(path []byte, dir *File, to []byte) Errno {
	if f.rdonly || dir.rdonly {
		return syscall.EROFS
	}
	from, errno := f.place(path, &f.files.pathA)
	if errno != 0 {
		return errno
	}
	defer from.done()
	target, errno := dir.place(to, &dir.files.pathB)
	if errno != 0 {
		return errno
	}
	defer target.done()
	return at2(unix.SYS_RENAMEAT2, from, target)
}

// Link gives a file another name. A symbolic link is itself linked to, unless
// follow is set.
func (f *File) Link(path []byte, follow bool, dir *File, to []byte) Errno {
	if f.rdonly {
		return syscall.EROFS
	}
	x := f.files
	if follow {
		target, errno := f.follow(path)
		if errno != 0 {
			return errno
		}
		path = target
	}
	from, errno := f.place(path, &x.pathA)
	if errno != 0 {
		return errno
	}
	defer from.done()
	if from.slash() {
		// linkat(2) would follow a link with a slash behind it, without openat2's
		// care. Such a name can only be a directory's.
		return syscall.ENOTDIR
	}
	target, errno := dir.creation(to, &x.pathB)
	if errno != 0 {
		return errno
	}
	defer target.done()
	return at2(unix.SYS_LINKAT, from, target)
}

func at2(nr uintptr, from, to place) Errno {
	_, _, errno := syscall.Syscall6(nr, uintptr(from.dirfd), uintptr(unsafe.Pointer(from.name)),
		uintptr(to.dirfd), uintptr(unsafe.Pointer(to.name)), 0, 0)
	return errno
}

// maxLinks is how many symbolic links follow goes through.
const maxLinks = 40

// follow finds the path below f of what a chain of symbolic links leads to. Only
// hard links need it, for which the kernel has no way to name an open file.
func (f *File) follow(path []byte) ([]byte, Errno) {
	var target [MaxPath]byte
	for range maxLinks {
		n, errno := f.Readlink(path, target[:])
		switch {
		case errno == syscall.EINVAL:
			return path, 0
		case errno != 0:
			return nil, errno
		case target[0] == '/' && !f.root:
			return nil, syscall.EPERM
		case target[0] == '/':
			path = bytes.Clone(bytes.TrimLeft(target[:n], "/"))
		default:
			parent := path[:bytes.LastIndexByte(bytes.TrimRight(path, "/"), '/')+1]
			path = bytes.Join([][]byte{parent, target[:n]}, nil)
		}
	}
	return nil, syscall.ELOOP
}
