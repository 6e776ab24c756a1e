// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fs

import (
	"bytes"
	"encoding/binary"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

// Entry is one entry of a directory, "." and ".." included.
type Entry struct {
	Name   []byte // valid until the directory is read further
	Ino    uint64
	Kind   descriptor.Kind
	Cookie uint64 // what continues the reading behind this entry
}

const (
	// streamSize is how much of a directory is read from the kernel at once.
	streamSize = 32 << 10
	// maxStreams bounds how many directories have a stream; the others go on by
	// their cookies.
	maxStreams = 64
)

// stream is the position in a directory that is being read. The kernel's own
// offsets serve as cookies, so they hold while entries come and go; and a reader
// that goes on where it stopped, or one entry before, does not even seek, which
// on some file systems would count entries anew.
type stream struct {
	buf       [streamSize]byte
	n, pos    int
	start     uint64 // the cookie of what buf begins with
	last      uint64 // the cookie of the entry last returned
	before    uint64 // the cookie that leads to that entry
	beforePos int
	read      bool // the kernel's offset is not at the beginning
}

const (
	direntOff  = 8
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// SeekEntry sets where the next entry comes from: zero, the beginning, or the cookie
// of an entry.
func (f *File) SeekEntry(cookie uint64) Errno {
	if f.dir == nil {
		if f.Kind() != descriptor.Directory {
			return syscall.ENOTDIR
		}
		f.files.stream(f)
	}
	d := f.dir
	switch {
	case cookie == 0:
		if !d.read {
			d.reset(0)
			return 0
		}
	case cookie == d.last:
		return 0
	case cookie == d.before && d.beforePos < d.n:
		d.pos = d.beforePos
		d.last = cookie
		return 0
	case d.find(cookie):
		return 0
	}
	if _, errno := lseek(f.fd, int64(cookie), unix.SEEK_SET); errno != 0 {
		return errno
	}
	d.reset(cookie)
	d.read = cookie != 0
	return 0
}

// stream gives a directory a stream: that of a closed one, a new one or, where there
// are enough, that of the directory that has its own for longest.
func (x *Files) stream(f *File) *stream {
	var d *stream
	switch n := len(x.streams); {
	case n > 0:
		d = x.streams[n-1]
		x.streams = x.streams[:n-1]
	case len(x.reading) >= maxStreams:
		d = x.reading[0].dir
		x.reading[0].dropStream()
	default:
		d = new(stream)
	}
	d.reset(0)
	d.read = true // perhaps: this directory may have had another before
	f.dir = d
	x.reading = append(x.reading, f)
	return d
}

// dropStream takes the directory's stream away.
func (f *File) dropStream() {
	x := f.files
	f.dir = nil
	x.reading = slices.DeleteFunc(x.reading, func(o *File) bool { return o == f })
}

func (d *stream) reset(cookie uint64) {
	d.n, d.pos, d.beforePos = 0, 0, 0
	d.start, d.last, d.before = cookie, cookie, cookie
}

// find looks for a cookie among the entries at hand.
func (d *stream) find(cookie uint64) bool {
	if cookie == d.start {
		d.pos, d.last = 0, cookie
		return true
	}
	for pos := 0; pos < d.n; {
		off, size := d.record(pos)
		pos += size
		if off == cookie {
			d.pos, d.last = pos, cookie
			return true
		}
	}
	return false
}

func (d *stream) record(pos int) (cookie uint64, size int) {
	return binary.NativeEndian.Uint64(d.buf[pos+direntOff:]),
		int(binary.NativeEndian.Uint16(d.buf[pos+direntLen:]))
}

// NextEntry reads the next entry; false with no error is the end.
func (f *File) NextEntry(e *Entry) (bool, Errno) {
	d := f.dir
	if d == nil {
		return false, syscall.EINVAL
	}
	if d.pos >= d.n {
		if errno := f.refill(d); errno != 0 || d.n == 0 {
			return false, errno
		}
	}
	cookie, size := d.record(d.pos)
	entry := d.buf[d.pos : d.pos+size]
	name := entry[direntName:]
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	*e = Entry{
		Name: name, Ino: binary.NativeEndian.Uint64(entry), Cookie: cookie,
		Kind: kindOf(uint32(entry[direntType]) << 12), // DT_ is the mode's IFTODT
	}
	if e.Kind == descriptor.Unknown {
		f.askKind(e)
	}
	d.before, d.beforePos = d.last, d.pos
	d.last = cookie
	d.pos += size
	return true, 0
}

func (f *File) refill(d *stream) Errno {
	n, _, errno := syscall.Syscall(unix.SYS_GETDENTS64, uintptr(f.fd), uintptr(unsafe.Pointer(&d.buf)), streamSize)
	if errno != 0 {
		return errno
	}
	d.read = true
	d.start = d.last
	d.n, d.pos = int(n), 0
	return 0
}

// askKind asks for the kind of an entry where the directory does not tell.
func (f *File) askKind(e *Entry) {
	x := f.files
	var st descriptor.Stat
	if x.pathA.set(e.Name) == 0 && x.fstatat(f.fd, &x.pathA[0], unix.AT_SYMLINK_NOFOLLOW, &st) == 0 {
		e.Kind = st.Kind
	}
}
