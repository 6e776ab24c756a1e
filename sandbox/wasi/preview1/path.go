// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"unicode/utf8"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/fs"
)

// path is a path of the guest, a string of the definition: UTF-8 (EILSEQ).
func (f *Front) path(ptr, size uint64) ([]byte, Errno) {
	b, ok := f.Bytes(uint32(ptr), uint32(size))
	switch {
	case !ok:
		return nil, ErrnoFault
	case len(b) > fs.MaxPath:
		return nil, ErrnoNametoolong
	case !utf8.Valid(b):
		return nil, ErrnoIlseq
	}
	return b, ErrnoSuccess
}

// dirPath is a directory and a path below it.
func (f *Front) dirPath(fd uint64, need rights, ptr, size uint64) (*fs.File, []byte, Errno) {
	dir, errno := f.file(fd, need, ErrnoNotdir)
	if errno != ErrnoSuccess {
		return nil, nil, errno
	}
	path, errno := f.path(ptr, size)
	return dir, path, errno
}

const lookupSymlinkFollow = 1

// follow is what lookupflags say; false for bits that do not exist.
func follow(lookupflags uint64) (follow, ok bool) {
	return lookupflags&lookupSymlinkFollow != 0, uint32(lookupflags)&^lookupSymlinkFollow == 0
}

// The oflags of the definition.
const (
	openCreate = 1 << iota
	openDirectory
	openExclusive
	openTruncate
	allOflags = 1<<iota - 1
)

// path_open(fd, dirflags, path, path_len, oflags, base, inheriting, fdflags, opened).
//
// Of the rights asked for, reading and writing decide how the file is opened.
// The others do not narrow it, as in wasmtime: programs ask for too few of them
// (Go opens a directory without PATH_FILESTAT_SET_SIZE, and truncates below it).
// What was given up by fd_fdstat_set_rights stays given up.
func pathOpen(f *Front, p []uint64) Errno {
	need := rightPathOpen
	if p[4]&openCreate != 0 {
		need |= rightPathCreateFile
	}
	if p[4]&openTruncate != 0 {
		need |= rightPathFilestatSetSize
	}
	dir, path, errno := f.dirPath(p[0], need, p[2], p[3])
	if errno != ErrnoSuccess {
		return errno
	}
	follow, ok1 := follow(p[1])
	flags, ok2 := Flags(p[7])
	if !ok1 || !ok2 || uint32(p[4])&^allOflags != 0 {
		return ErrnoInval
	}
	opened, ok := f.Bytes(uint32(p[8]), 4)
	if !ok {
		return ErrnoFault
	}
	parent, _ := f.sys.Table.Get(int32(p[0]))
	lost := parent.DroppedInheriting
	if lost&p[5]&(rightFdRead|rightFdWrite) != 0 {
		return ErrnoNotcapable
	}
	if f.sys.Table.Full() {
		return ErrnoMfile
	}
	file, err := dir.Open(path, fs.Open{
		Read:      p[5]&rightFdRead != 0,
		Write:     p[5]&rightFdWrite != 0,
		Create:    p[4]&openCreate != 0,
		Directory: p[4]&openDirectory != 0,
		Exclusive: p[4]&openExclusive != 0,
		Truncate:  p[4]&openTruncate != 0,
		Follow:    follow,
		Flags:     flags,
	})
	if err != 0 {
		return ErrnoOf(err)
	}
	fd, _ := f.sys.Table.InsertEntry(descriptor.Entry{
		Descriptor: file, Dropped: lost, DroppedInheriting: lost,
	})
	le.PutUint32(opened, uint32(fd))
	return ErrnoSuccess
}

// path_create_directory(fd, path, path_len).
func pathCreateDirectory(f *Front, p []uint64) Errno {
	dir, path, errno := f.dirPath(p[0], rightPathCreateDirectory, p[1], p[2])
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(dir.Mkdir(path))
}

// path_remove_directory(fd, path, path_len): remove an empty directory.
func pathRemoveDirectory(f *Front, p []uint64) Errno {
	dir, path, errno := f.dirPath(p[0], rightPathRemoveDirectory, p[1], p[2])
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(dir.Rmdir(path))
}

// path_unlink_file(fd, path, path_len): remove a name that is no directory's.
func pathUnlinkFile(f *Front, p []uint64) Errno {
	dir, path, errno := f.dirPath(p[0], rightPathUnlinkFile, p[1], p[2])
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(dir.Unlink(path))
}

// path_filestat_get(fd, flags, path, path_len, stat).
func pathFilestatGet(f *Front, p []uint64) Errno {
	dir, path, errno := f.dirPath(p[0], rightPathFilestatGet, p[2], p[3])
	if errno != ErrnoSuccess {
		return errno
	}
	follow, ok := follow(p[1])
	if !ok {
		return ErrnoInval
	}
	if err := dir.StatAt(path, follow, &f.stat); err != 0 {
		return ErrnoOf(err)
	}
	return f.putFilestat(uint32(p[4]))
}

// path_filestat_set_times(fd, flags, path, path_len, atim, mtim, fstflags).
func pathFilestatSetTimes(f *Front, p []uint64) Errno {
	dir, path, errno := f.dirPath(p[0], rightPathFilestatSetTimes, p[2], p[3])
	if errno != ErrnoSuccess {
		return errno
	}
	follow, ok := follow(p[1])
	if !ok {
		return ErrnoInval
	}
	atime, mtime, errno := times(p[4], p[5], p[6])
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(dir.SetTimesAt(path, follow, atime, mtime))
}

// path_link(old_fd, old_flags, old, old_len, new_fd, new, new_len): hard link.
func pathLink(f *Front, p []uint64) Errno {
	from, oldPath, errno := f.dirPath(p[0], rightPathLinkSource, p[2], p[3])
	if errno != ErrnoSuccess {
		return errno
	}
	to, newPath, errno := f.dirPath(p[4], rightPathLinkTarget, p[5], p[6])
	if errno != ErrnoSuccess {
		return errno
	}
	follow, ok := follow(p[1])
	if !ok {
		return ErrnoInval
	}
	return ErrnoOf(from.Link(oldPath, follow, to, newPath))
}

// path_rename(fd, old, old_len, new_fd, new, new_len).
func pathRename(f *Front, p []uint64) Errno {
	from, oldPath, errno := f.dirPath(p[0], rightPathRenameSource, p[1], p[2])
	if errno != ErrnoSuccess {
		return errno
	}
	to, newPath, errno := f.dirPath(p[3], rightPathRenameTarget, p[4], p[5])
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(from.Rename(oldPath, to, newPath))
}

// path_symlink(old, old_len, fd, new, new_len): a link at new that reads old.
func pathSymlink(f *Front, p []uint64) Errno {
	dir, path, errno := f.dirPath(p[2], rightPathSymlink, p[3], p[4])
	if errno != ErrnoSuccess {
		return errno
	}
	target, errno := f.path(p[0], p[1])
	if errno != ErrnoSuccess {
		return errno
	}
	return ErrnoOf(dir.Symlink(target, path))
}

// path_readlink(fd, path, path_len, buf, buf_len, bufused): where a symbolic
// link leads, cut off at the buffer's end.
func pathReadlink(f *Front, p []uint64) Errno {
	dir, path, errno := f.dirPath(p[0], rightPathReadlink, p[1], p[2])
	if errno != ErrnoSuccess {
		return errno
	}
	buf, ok := f.Bytes(uint32(p[3]), uint32(p[4]))
	if !ok {
		return ErrnoFault
	}
	used, ok := f.Bytes(uint32(p[5]), 4)
	if !ok {
		return ErrnoFault
	}
	n, err := dir.Readlink(path, buf)
	return count(used, n, err)
}
