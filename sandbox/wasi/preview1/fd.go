// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"math"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/fs"
)

// fd_close(fd).
func fdClose(f *Front, p []uint64) Errno {
	return ErrnoOf(f.sys.Table.Close(int32(p[0])))
}

// fd_renumber(fd, to): move fd to the number to, and close what was there.
func fdRenumber(f *Front, p []uint64) Errno {
	return ErrnoOf(f.sys.Table.Renumber(int32(p[0]), int32(p[1])))
}

const fdstatSize = 24

// fd_fdstat_get(fd, stat): kind, flags and rights of a descriptor.
func fdFdstatGet(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	b, ok := f.Bytes(uint32(p[1]), fdstatSize)
	if !ok {
		return ErrnoFault
	}
	fdstat(b, e)
	return ErrnoSuccess
}

// fd_fdstat_set_flags(fd, flags): replace the flags.
func fdFdstatSetFlags(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], rightFdFdstatSetFlags)
	if errno != ErrnoSuccess {
		return errno
	}
	flags, ok := Flags(p[1])
	if !ok {
		return ErrnoInval
	}
	d, ok := e.Descriptor.(descriptor.Flagger)
	if !ok {
		return ErrnoNotsup
	}
	return ErrnoOf(d.SetFlags(flags))
}

// fd_fdstat_set_rights(fd, base, inheriting): give rights up. More than are there
// cannot be had.
func fdFdstatSetRights(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	base, inheriting := naturalRights(e.Descriptor)
	if p[1]&^(base&^e.Dropped) != 0 || p[2]&^(inheriting&^e.DroppedInheriting) != 0 {
		return ErrnoNotcapable
	}
	e.Dropped, e.DroppedInheriting = ^p[1], ^p[2]
	return ErrnoSuccess
}

// fd_prestat_get(fd, prestat): what a descriptor that was there from the
// beginning is.
//
//	0 tag u8 | 4 length of the name u32
//
// A directory has tag 0. A listening socket has a tag that the definition does
// not know: wasi-libc and Go end their walk at the first error, but walk past
// such a one.
func fdPrestatGet(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	if !e.Preopen {
		return ErrnoBadf
	}
	b, ok := f.Bytes(uint32(p[1]), 8)
	if !ok {
		return ErrnoFault
	}
	clear(b)
	if e.Kind() != descriptor.Directory {
		b[0] = 1
		return ErrnoSuccess
	}
	le.PutUint32(b[4:], uint32(len(e.Name)))
	return ErrnoSuccess
}

// fd_prestat_dir_name(fd, path, path_len): the name of a preopened directory.
func fdPrestatDirName(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], 0)
	if errno != ErrnoSuccess {
		return errno
	}
	if !e.Preopen {
		return ErrnoBadf
	}
	if e.Kind() != descriptor.Directory {
		return ErrnoNotdir
	}
	b, ok := f.Bytes(uint32(p[1]), uint32(p[2]))
	if !ok {
		return ErrnoFault
	}
	if len(b) < len(e.Name) {
		return ErrnoNametoolong
	}
	copy(b, e.Name)
	return ErrnoSuccess
}

// fd_filestat_get(fd, stat): the status of what a descriptor refers to.
func fdFilestatGet(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], rightFdFilestatGet)
	if errno != ErrnoSuccess {
		return errno
	}
	d, ok := e.Descriptor.(descriptor.Stater)
	if !ok {
		f.stat = descriptor.Stat{Kind: e.Kind(), Nlink: 1}
		return f.putFilestat(uint32(p[1]))
	}
	if err := d.Stat(&f.stat); err != 0 {
		return ErrnoOf(err)
	}
	return f.putFilestat(uint32(p[1]))
}

const (
	filestatSize         = 64
	filestatSizeUnstable = 56
)

// putFilestat stores f.stat:
//
//	0 dev u64 | 8 ino u64 | 16 filetype u8 | 24 nlink u64 | 32 size u64 | 40 atim | 48 mtim | 56 ctim
//
// In wasi_unstable nlink is a u32 at 20 and what follows is at 24.
func (f *Front) putFilestat(ptr uint32) Errno {
	size := uint32(filestatSize)
	if f.unstable {
		size = filestatSizeUnstable
	}
	b, ok := f.Bytes(ptr, size)
	if !ok {
		return ErrnoFault
	}
	st := &f.stat
	le.PutUint64(b, st.Dev)
	le.PutUint64(b[8:], st.Ino)
	le.PutUint64(b[16:], uint64(filetype(st.Kind)))
	if f.unstable {
		le.PutUint32(b[20:], uint32(min(st.Nlink, math.MaxUint32)))
		b = b[24:]
	} else {
		le.PutUint64(b[24:], st.Nlink)
		b = b[32:]
	}
	le.PutUint64(b, st.Size)
	le.PutUint64(b[8:], timestamp(st.Atime))
	le.PutUint64(b[16:], timestamp(st.Mtime))
	le.PutUint64(b[24:], timestamp(st.Ctime))
	return ErrnoSuccess
}

// timestamp is a time as the definition has it, which begins in 1970.
func timestamp(ns int64) uint64 { return uint64(max(ns, 0)) }

// fd_filestat_set_size(fd, size): truncate or extend a file.
func fdFilestatSetSize(f *Front, p []uint64) Errno {
	file, errno := f.file(p[0], rightFdFilestatSetSize, ErrnoInval)
	if errno != ErrnoSuccess {
		return errno
	}
	if p[1] > math.MaxInt64 {
		return ErrnoInval
	}
	return ErrnoOf(file.SetSize(int64(p[1])))
}

// fd_filestat_set_times(fd, atim, mtim, flags).
func fdFilestatSetTimes(f *Front, p []uint64) Errno {
	file, errno := f.file(p[0], rightFdFilestatSetTimes, ErrnoInval)
	if errno != ErrnoSuccess {
		return errno
	}
	atime, mtime, errno := times(p[1], p[2], p[3])
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(file.SetTimes(atime, mtime))
}

// The fstflags of the definition.
const (
	setAtime = 1 << iota
	setAtimeNow
	setMtime
	setMtimeNow
	allFstflags = 1<<iota - 1
)

// times are the two times that fstflags ask to set.
func times(atim, mtim, fstflags uint64) (atime, mtime fs.Time, errno Errno) {
	flags := uint32(fstflags)
	if flags&^allFstflags != 0 {
		return 0, 0, ErrnoInval
	}
	atime, ok1 := oneTime(atim, flags&setAtime != 0, flags&setAtimeNow != 0)
	mtime, ok2 := oneTime(mtim, flags&setMtime != 0, flags&setMtimeNow != 0)
	if !ok1 || !ok2 {
		return 0, 0, ErrnoInval
	}
	return atime, mtime, ErrnoSuccess
}

func oneTime(t uint64, set, now bool) (fs.Time, bool) {
	switch {
	case set && now, set && t > math.MaxInt64:
		return 0, false
	case set:
		return fs.Time(t), true
	case now:
		return fs.Current, true
	}
	return fs.Omit, true
}

// fd_sync(fd): bring data and metadata to disk.
func fdSync(f *Front, p []uint64) Errno {
	file, errno := f.file(p[0], rightFdSync, ErrnoInval)
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(file.Sync(false))
}

// fd_datasync(fd): bring data to disk.
func fdDatasync(f *Front, p []uint64) Errno {
	file, errno := f.file(p[0], rightFdDatasync, ErrnoInval)
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(file.Sync(true))
}

// fd_allocate(fd, offset, len): make sure there is room for a range.
func fdAllocate(f *Front, p []uint64) Errno {
	file, errno := f.file(p[0], rightFdAllocate, ErrnoSpipe)
	if errno != ErrnoSuccess {
		return errno
	}
	if p[1] > math.MaxInt64 || p[2] > math.MaxInt64 {
		return ErrnoInval
	}
	return ErrnoOf(file.Allocate(int64(p[1]), int64(p[2])))
}

// advices are Linux's in the definition's order: normal, sequential, random,
// willneed, dontneed, noreuse.
var advices = [...]int{
	unix.FADV_NORMAL, unix.FADV_SEQUENTIAL, unix.FADV_RANDOM,
	unix.FADV_WILLNEED, unix.FADV_DONTNEED, unix.FADV_NOREUSE,
}

// fd_advise(fd, offset, len, advice): how a range will be used.
func fdAdvise(f *Front, p []uint64) Errno {
	file, errno := f.file(p[0], rightFdAdvise, ErrnoSpipe)
	if errno != ErrnoSuccess {
		return errno
	}
	advice := uint32(p[3])
	if advice >= uint32(len(advices)) || p[1] > math.MaxInt64 || p[2] > math.MaxInt64 {
		return ErrnoInval
	}
	if file.Kind() == descriptor.Directory {
		return ErrnoBadf
	}
	return ErrnoOf(file.Advise(int64(p[1]), int64(p[2]), advices[advice]))
}

const direntSize = 24

// fd_readdir(fd, buf, buf_len, cookie, bufused): entries of a directory from a
// cookie on, one behind the other:
//
//	0 next cookie u64 | 8 ino u64 | 16 length of the name u32 | 20 filetype u8 | 24 name
//
// The last one may be cut off; a buffer that is not full means the end.
func fdReaddir(f *Front, p []uint64) Errno {
	dir, errno := f.file(p[0], rightFdReaddir, ErrnoNotdir)
	if errno != ErrnoSuccess {
		return errno
	}
	buf, ok := f.Bytes(uint32(p[1]), uint32(p[2]))
	if !ok {
		return ErrnoFault
	}
	used, ok := f.Bytes(uint32(p[4]), 4)
	if !ok {
		return ErrnoFault
	}
	if err := dir.SeekEntry(p[3]); err != 0 {
		return ErrnoOf(err)
	}
	n := 0
	for n < len(buf) {
		more, err := dir.NextEntry(&f.dirent)
		if err != 0 && n == 0 {
			return ErrnoOf(err)
		}
		if err != 0 || !more {
			break
		}
		n += putEntry(buf[n:], &f.dirent)
	}
	le.PutUint32(used, uint32(n))
	return ErrnoSuccess
}

// putEntry stores as much of an entry as there is room for.
func putEntry(buf []byte, e *fs.Entry) int {
	var head [direntSize]byte
	h := head[:]
	if len(buf) >= direntSize {
		h = buf[:direntSize]
	}
	le.PutUint64(h, e.Cookie)
	le.PutUint64(h[8:], e.Ino)
	le.PutUint32(h[16:], uint32(len(e.Name)))
	le.PutUint32(h[20:], uint32(filetype(e.Kind)))
	if len(buf) < direntSize {
		return copy(buf, h)
	}
	return direntSize + copy(buf[direntSize:], e.Name)
}
