// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package fs gives a guest directories and files by descriptor. A name is only
// ever resolved by the kernel, by openat2(2) below an open directory that the
// guest holds; nothing outside it can be reached, whatever links, ".." and
// renames there are, and even without a mount namespace around it.
//
// System calls: openat2, close, fstat, newfstatat (fstatat on arm64), lseek,
// getdents64, mkdirat, unlinkat, renameat2, symlinkat, readlinkat, linkat,
// utimensat, ftruncate, fallocate, fadvise64, fsync, fdatasync, fcntl, and those
// of package rawio.
package fs

import (
	"math"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/rawio"
)

// Errno is the result of an operation; zero is success.
type Errno = descriptor.Errno

// Files opens files for one guest. It keeps what a call needs between calls, so
// that opening and closing in a loop allocates nothing; it is not safe for
// concurrent use.
type Files struct {
	free       []*File
	streams    []*stream // of closed directories
	reading    []*File   // with a stream, the longest first
	pathA      pathBuffer
	pathB      pathBuffer
	how        unix.OpenHow
	timespecs  [2]unix.Timespec
	statBuffer unix.Stat_t
}

// File is an open file or directory of any kind.
type File struct {
	files  *Files
	fd     int
	kind   descriptor.Kind // Unknown until someone asks
	flags  descriptor.Flags
	read   bool
	write  bool
	rdonly bool // nothing below may be changed
	root   bool // names resolve as if this were the root of the file system
	dir    *stream
}

// maxFree bounds what closed files leave behind for the next ones.
const maxFree = 64

func (x *Files) file(f File) *File {
	var p *File
	if n := len(x.free); n > 0 {
		p = x.free[n-1]
		x.free = x.free[:n-1]
	} else {
		p = new(File)
	}
	*p = f
	p.files = x
	return p
}

// Preopen opens a directory of the process by its path, to be given to the
// guest. With root set an absolute link below it starts again at it; otherwise
// a link that leads out of it is refused. With rdonly set everything that would
// change something below it answers EROFS.
func (x *Files) Preopen(path string, rdonly, root bool) (*File, Errno) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err == unix.EACCES {
		// A directory that the user may pass but not list.
		how.Flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
		fd, err = unix.Openat2(unix.AT_FDCWD, path, &how)
	}
	if err != nil {
		return nil, err.(Errno)
	}
	return x.file(File{fd: fd, kind: descriptor.Directory, read: true, rdonly: rdonly, root: root}), 0
}

// Close closes the file; it must not be used again.
func (f *File) Close() Errno {
	x := f.files
	fd := f.fd
	if f.dir != nil {
		x.streams = append(x.streams[:min(len(x.streams), 3)], f.dir)
		f.dropStream()
	}
	*f = File{fd: -1}
	if len(x.free) < maxFree {
		x.free = append(x.free, f)
	}
	return closeFD(fd)
}

func closeFD(fd int) Errno {
	_, _, errno := syscall.Syscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	if errno == syscall.EINTR {
		return 0 // it is closed: close(2)
	}
	return errno
}

// FD is the file descriptor, which stays the file's.
func (f *File) FD() int { return f.fd }

// Kind asks the kernel once.
func (f *File) Kind() descriptor.Kind {
	if f.kind == descriptor.Unknown {
		var st descriptor.Stat
		f.Stat(&st)
	}
	return f.kind
}

// Access says what the file was opened for.
func (f *File) Access() (read, write bool) { return f.read, f.write }

// ReadOnly says that nothing below the directory may be changed.
func (f *File) ReadOnly() bool { return f.rdonly }

// PollFD is negative for files that never wait.
func (f *File) PollFD() int {
	switch f.Kind() {
	case descriptor.RegularFile, descriptor.Directory, descriptor.BlockDevice:
		return -1
	}
	return f.fd
}

// Readv reads at the offset (EBADF if the file was not opened for reading).
func (f *File) Readv(iovs [][]byte) (int, Errno) {
	if !f.read {
		return 0, syscall.EBADF
	}
	return rawio.Readv(f.fd, iovs)
}

// Writev writes at the offset, or at the end of a file with the Append flag.
func (f *File) Writev(iovs [][]byte) (int, Errno) { return rawio.Writev(f.fd, iovs) }

// Preadv reads at an offset and leaves that of the file alone.
func (f *File) Preadv(iovs [][]byte, offset int64) (int, Errno) {
	if !f.read {
		return 0, syscall.EBADF
	}
	return rawio.Preadv(f.fd, iovs, offset)
}

// Pwritev writes at an offset and leaves that of the file alone. With the Append
// flag it writes at the end, as Linux does.
func (f *File) Pwritev(iovs [][]byte, offset int64) (int, Errno) {
	return rawio.Pwritev(f.fd, iovs, offset)
}

// Lseek moves the offset; a directory has none (EISDIR).
func (f *File) Lseek(offset int64, whence int) (int64, Errno) {
	if f.Kind() == descriptor.Directory {
		return 0, syscall.EISDIR
	}
	return lseek(f.fd, offset, whence)
}

func lseek(fd int, offset int64, whence int) (int64, Errno) {
	n, _, errno := syscall.Syscall(unix.SYS_LSEEK, uintptr(fd), uintptr(offset), uintptr(whence))
	return int64(n), errno
}

// Flags are those the file was opened with, or got since.
func (f *File) Flags() descriptor.Flags { return f.flags }

const syncFlags = descriptor.DSync | descriptor.RSync | descriptor.Sync

// SetFlags changes Append and Nonblock; the others are fixed when the file is
// opened (EINVAL).
func (f *File) SetFlags(flags descriptor.Flags) Errno {
	if (flags^f.flags)&syncFlags != 0 {
		return syscall.EINVAL
	}
	_, _, errno := syscall.Syscall(unix.SYS_FCNTL, uintptr(f.fd), unix.F_SETFL, uintptr(openFlags(flags)))
	if errno == 0 {
		f.flags = flags
	}
	return errno
}

// openFlags are the flags of open(2) for a descriptor's flags.
func openFlags(flags descriptor.Flags) (o uint64) {
	if flags&descriptor.Append != 0 {
		o |= unix.O_APPEND
	}
	if flags&descriptor.Nonblock != 0 {
		o |= unix.O_NONBLOCK
	}
	if flags&descriptor.DSync != 0 {
		o |= unix.O_DSYNC
	}
	if flags&(descriptor.RSync|descriptor.Sync) != 0 {
		o |= unix.O_SYNC // Linux has no O_RSYNC but this
	}
	return o
}

// Stat asks for the status.
func (f *File) Stat(st *descriptor.Stat) Errno {
	s := &f.files.statBuffer
	_, _, errno := syscall.Syscall(unix.SYS_FSTAT, uintptr(f.fd), uintptr(unsafe.Pointer(s)), 0)
	if errno != 0 {
		return errno
	}
	fill(st, s)
	f.kind = st.Kind
	return 0
}

// SetSize truncates or extends the file.
func (f *File) SetSize(size int64) Errno {
	if !f.write {
		return syscall.EBADF
	}
	_, _, errno := syscall.Syscall(unix.SYS_FTRUNCATE, uintptr(f.fd), uintptr(size), 0)
	return errno
}

// Allocate makes sure that the bytes of the range are there, and extends the
// file if it ends within.
func (f *File) Allocate(offset, length int64) Errno {
	for {
		_, _, errno := syscall.Syscall6(unix.SYS_FALLOCATE, uintptr(f.fd), 0, uintptr(offset), uintptr(length), 0, 0)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// Advise tells the kernel how the range will be used: a value of
// posix_fadvise(2). A length of zero reaches to the end.
func (f *File) Advise(offset, length int64, advice int) Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_FADVISE64, uintptr(f.fd), uintptr(offset), uintptr(length),
		uintptr(advice), 0, 0)
	return errno
}

// Sync brings data, and unless dataOnly everything else about the file, to disk.
func (f *File) Sync(dataOnly bool) Errno {
	nr := uintptr(unix.SYS_FSYNC)
	if dataOnly {
		nr = unix.SYS_FDATASYNC
	}
	for {
		_, _, errno := syscall.Syscall(nr, uintptr(f.fd), 0, 0)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

// Time is a time to set on a file, in nanoseconds since 1970, or one of the two
// special values.
type Time int64

// Omit leaves a time as it is, Current sets the present one.
const (
	Omit    Time = math.MinInt64
	Current Time = math.MinInt64 + 1
)

// SetTimes sets the times of the last access and of the last change.
func (f *File) SetTimes(atime, mtime Time) Errno {
	if f.rdonly {
		return syscall.EROFS
	}
	return f.files.utimens(f.fd, &empty[0], atime, mtime, unix.AT_EMPTY_PATH)
}

func (x *Files) utimens(dirfd int, name *byte, atime, mtime Time, flags int) Errno {
	x.timespecs = [2]unix.Timespec{timespec(atime), timespec(mtime)}
	_, _, errno := syscall.Syscall6(unix.SYS_UTIMENSAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&x.timespecs)), uintptr(flags), 0, 0)
	return errno
}

func timespec(t Time) unix.Timespec {
	switch t {
	case Omit:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	case Current:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	}
	return unix.NsecToTimespec(int64(t))
}

func fill(st *descriptor.Stat, s *unix.Stat_t) {
	*st = descriptor.Stat{
		Dev: uint64(s.Dev), Ino: s.Ino, Kind: kindOf(s.Mode), Nlink: uint64(s.Nlink), Size: uint64(s.Size),
		Atime: s.Atim.Nano(), Mtime: s.Mtim.Nano(), Ctime: s.Ctim.Nano(),
	}
}

func kindOf(mode uint32) descriptor.Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return descriptor.RegularFile
	case unix.S_IFDIR:
		return descriptor.Directory
	case unix.S_IFLNK:
		return descriptor.SymbolicLink
	case unix.S_IFCHR:
		return descriptor.CharacterDevice
	case unix.S_IFBLK:
		return descriptor.BlockDevice
	case unix.S_IFIFO:
		return descriptor.FIFO
	case unix.S_IFSOCK:
		return descriptor.StreamSocket
	}
	return descriptor.Unknown
}
