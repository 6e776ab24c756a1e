// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"math"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

// fd_read(fd, iovs, iovs_len, nread): read at the descriptor's offset.
func fdRead(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], rightFdRead)
	if errno != ErrnoSuccess {
		return errno
	}
	d, ok := e.Descriptor.(descriptor.Reader)
	if !ok {
		return ErrnoBadf
	}
	iovs, errno := f.Vectors(uint32(p[1]), uint32(p[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	n, ok := f.Bytes(uint32(p[3]), 4)
	if !ok {
		return ErrnoFault
	}
	read, err := d.Readv(iovs)
	return count(n, read, err)
}

// fd_write(fd, ciovs, ciovs_len, nwritten): write at the descriptor's offset.
func fdWrite(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], rightFdWrite)
	if errno != ErrnoSuccess {
		return errno
	}
	d, ok := e.Descriptor.(descriptor.Writer)
	if !ok {
		return ErrnoBadf
	}
	iovs, errno := f.Vectors(uint32(p[1]), uint32(p[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	n, ok := f.Bytes(uint32(p[3]), 4)
	if !ok {
		return ErrnoFault
	}
	written, err := d.Writev(iovs)
	return count(n, written, err)
}

// fd_pread(fd, iovs, iovs_len, offset, nread): read at an offset.
func fdPread(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], rightFdRead)
	if errno != ErrnoSuccess {
		return errno
	}
	d, ok := e.Descriptor.(descriptor.ReaderAt)
	if !ok {
		return ErrnoSpipe
	}
	iovs, errno := f.Vectors(uint32(p[1]), uint32(p[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	n, ok := f.Bytes(uint32(p[4]), 4)
	if !ok {
		return ErrnoFault
	}
	if p[3] > math.MaxInt64 {
		return ErrnoInval
	}
	read, err := d.Preadv(iovs, int64(p[3]))
	return count(n, read, err)
}

// fd_pwrite(fd, ciovs, ciovs_len, offset, nwritten): write at an offset.
func fdPwrite(f *Front, p []uint64) Errno {
	e, errno := f.entry(p[0], rightFdWrite)
	if errno != ErrnoSuccess {
		return errno
	}
	d, ok := e.Descriptor.(descriptor.WriterAt)
	if !ok {
		return ErrnoSpipe
	}
	iovs, errno := f.Vectors(uint32(p[1]), uint32(p[2]))
	if errno != ErrnoSuccess {
		return errno
	}
	n, ok := f.Bytes(uint32(p[4]), 4)
	if !ok {
		return ErrnoFault
	}
	if p[3] > math.MaxInt64 {
		return ErrnoInval
	}
	written, err := d.Pwritev(iovs, int64(p[3]))
	return count(n, written, err)
}

// count stores how many bytes a transfer moved. What a buffer that overlaps the
// result held is the guest's loss.
func count(result []byte, n int, err descriptor.Errno) Errno {
	if err != 0 {
		return ErrnoOf(err)
	}
	le.PutUint32(result, uint32(n))
	return ErrnoSuccess
}

// whences translate the whence of fd_seek: set, cur, end; in wasi_unstable cur,
// end, set.
var (
	whences         = [...]int{unix.SEEK_SET, unix.SEEK_CUR, unix.SEEK_END}
	whencesUnstable = [...]int{unix.SEEK_CUR, unix.SEEK_END, unix.SEEK_SET}
)

// fd_seek(fd, offset, whence, newoffset): move the offset.
func fdSeek(f *Front, p []uint64) Errno {
	w := whences
	if f.unstable {
		w = whencesUnstable
	}
	whence := uint32(p[2])
	if whence >= uint32(len(w)) {
		return ErrnoInval
	}
	need := rightFdSeek
	if w[whence] == unix.SEEK_CUR && p[1] == 0 {
		need = rightFdTell
	}
	return f.seek(p[0], need, int64(p[1]), w[whence], uint32(p[3]))
}

// fd_tell(fd, offset): the offset.
func fdTell(f *Front, p []uint64) Errno {
	return f.seek(p[0], rightFdTell, 0, unix.SEEK_CUR, uint32(p[1]))
}

func (f *Front) seek(fd uint64, need rights, offset int64, whence int, result uint32) Errno {
	e, errno := f.entry(fd, need)
	if errno != ErrnoSuccess {
		return errno
	}
	d, ok := e.Descriptor.(descriptor.Seeker)
	if !ok {
		return ErrnoSpipe
	}
	b, ok := f.Bytes(result, 8)
	if !ok {
		return ErrnoFault
	}
	n, err := d.Lseek(offset, whence)
	if err == 0 {
		le.PutUint64(b, uint64(n))
	}
	return ErrnoOf(err)
}
