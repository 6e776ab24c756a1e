// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/fs"
	"containerd-shim-wazero/sandbox/wasi/stdio"
)

// rights is a set of what may be done with a descriptor.
type rights = uint64

// The rights of the definition, in its order.
const (
	rightFdDatasync rights = 1 << iota
	rightFdRead
	rightFdSeek
	rightFdFdstatSetFlags
	rightFdSync
	rightFdTell
	rightFdWrite
	rightFdAdvise
	rightFdAllocate
	rightPathCreateDirectory
	rightPathCreateFile
	rightPathLinkSource
	rightPathLinkTarget
	rightPathOpen
	rightFdReaddir
	rightPathReadlink
	rightPathRenameSource
	rightPathRenameTarget
	rightPathFilestatGet
	rightPathFilestatSetSize
	rightPathFilestatSetTimes
	rightFdFilestatGet
	rightFdFilestatSetSize
	rightFdFilestatSetTimes
	rightPathSymlink
	rightPathRemoveDirectory
	rightPathUnlinkFile
	rightPollFdReadwrite
	rightSockShutdown
	rightSockAccept
)

// What makes sense on each kind of descriptor.
const (
	changeRights = rightPathCreateDirectory | rightPathCreateFile | rightPathLinkSource | rightPathLinkTarget |
		rightPathRenameSource | rightPathRenameTarget | rightPathFilestatSetSize | rightPathFilestatSetTimes |
		rightFdFilestatSetTimes | rightPathSymlink | rightPathRemoveDirectory | rightPathUnlinkFile
	directoryRights = changeRights | rightFdFdstatSetFlags | rightFdSync | rightFdDatasync | rightPathOpen |
		rightFdReaddir | rightPathReadlink | rightPathFilestatGet | rightFdFilestatGet | rightPollFdReadwrite
	writeRights = rightFdWrite | rightFdAllocate | rightFdFilestatSetSize
	fileRights  = writeRights | rightFdRead | rightFdDatasync | rightFdSync | rightFdSeek | rightFdTell |
		rightFdFdstatSetFlags | rightFdAdvise | rightFdFilestatGet | rightFdFilestatSetTimes | rightPollFdReadwrite
	streamRights = rightFdRead | rightFdWrite | rightFdFdstatSetFlags | rightFdFilestatGet | rightPollFdReadwrite
	socketRights = streamRights | rightSockShutdown
)

// naturalRights are all the rights a descriptor can have.
func naturalRights(d descriptor.Descriptor) (base, inheriting rights) {
	switch d := d.(type) {
	case *fs.File:
		return naturalFileRights(d)
	case *stdio.Stream:
		base = streamRights
		if d.Seekable() {
			// Also how wasi-libc tells a device from a terminal.
			base |= rightFdSeek | rightFdTell
		}
		return access(base, d), 0
	case descriptor.Socket:
		return socketRights | rightSockAccept, socketRights
	case descriptor.Writer, descriptor.Reader:
		return streamRights | rightFdSeek | rightFdTell, 0
	}
	return 0, 0
}

func naturalFileRights(d *fs.File) (base, inheriting rights) {
	switch d.Kind() {
	case descriptor.Directory:
		if d.ReadOnly() {
			return directoryRights &^ changeRights, (directoryRights | fileRights) &^ (changeRights | writeRights)
		}
		return directoryRights, directoryRights | fileRights
	case descriptor.CharacterDevice:
		if stdio.IsTerminal(d.FD()) {
			return access(streamRights, d), 0
		}
	}
	return access(fileRights, d), 0
}

// access leaves out the rights for a direction that the descriptor is not open
// for.
func access(base rights, d descriptor.Accessor) rights {
	read, write := d.Access()
	if !read {
		base &^= rightFdRead
	}
	if !write {
		base &^= writeRights
	}
	return base
}

// entry finds a descriptor that the guest may use in a way. What the guest gave
// up is ENOTCAPABLE; what the descriptor cannot do by its nature is left to the
// operation to refuse.
func (f *Front) entry(fd uint64, need rights) (*descriptor.Entry, Errno) {
	e, ok := f.sys.Table.Get(int32(fd))
	if !ok {
		return nil, ErrnoBadf
	}
	if e.Dropped&need != 0 {
		return nil, ErrnoNotcapable
	}
	return e, ErrnoSuccess
}

// file finds a file or directory; otherwise is the errno for anything else.
func (f *Front) file(fd uint64, need rights, otherwise Errno) (*fs.File, Errno) {
	e, errno := f.entry(fd, need)
	if errno != ErrnoSuccess {
		return nil, errno
	}
	if file, ok := e.Descriptor.(*fs.File); ok {
		return file, ErrnoSuccess
	}
	return nil, otherwise
}

// fdstat puts the attributes of a descriptor into 24 bytes:
//
//	0 filetype u8 | 2 flags u16 | 8 rights u64 | 16 inheriting rights u64
func fdstat(b []byte, e *descriptor.Entry) {
	base, inheriting := naturalRights(e.Descriptor)
	clear(b)
	b[0] = filetype(e.Kind())
	if d, ok := e.Descriptor.(descriptor.Flagger); ok {
		le.PutUint16(b[2:], fdflags(d.Flags()))
	}
	le.PutUint64(b[8:], base&^e.Dropped)
	le.PutUint64(b[16:], inheriting&^e.DroppedInheriting)
}

func filetype(k descriptor.Kind) uint8 {
	switch k {
	case descriptor.BlockDevice:
		return 1
	case descriptor.CharacterDevice:
		return 2
	case descriptor.Directory:
		return 3
	case descriptor.RegularFile:
		return 4
	case descriptor.DatagramSocket:
		return 5
	case descriptor.StreamSocket:
		return 6
	case descriptor.SymbolicLink:
		return 7
	}
	return 0 // a pipe too: the definition has no type for it
}

// The fdflags of the definition.
const (
	flagAppend = 1 << iota
	flagDsync
	flagNonblock
	flagRsync
	flagSync
	allFlags = 1<<iota - 1
)

var flagPairs = [...]struct {
	wasi uint16
	core descriptor.Flags
}{
	{flagAppend, descriptor.Append},
	{flagDsync, descriptor.DSync},
	{flagNonblock, descriptor.Nonblock},
	{flagRsync, descriptor.RSync},
	{flagSync, descriptor.Sync},
}

func fdflags(flags descriptor.Flags) (w uint16) {
	for _, p := range flagPairs {
		if flags&p.core != 0 {
			w |= p.wasi
		}
	}
	return w
}

// Flags translates fdflags; false for bits that do not exist.
func Flags(w uint64) (flags descriptor.Flags, ok bool) {
	for _, p := range flagPairs {
		if uint16(w)&p.wasi != 0 {
			flags |= p.core
		}
	}
	return flags, uint32(w)&^allFlags == 0
}
