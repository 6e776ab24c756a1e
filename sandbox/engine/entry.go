// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/sha256"
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine/image"
)

// mapped is an image in this process's memory: all but the machine code and
// the initial memory, which are mapped where they are needed.
type mapped struct {
	*image.Header
	fd   int
	data []byte // from the file's beginning to the machine code
	// serving says that wazero's entry was not asked for yet.
	serving bool
}

// mapImage maps an image. The file must be one that nobody writes to.
func mapImage(fd int) (*mapped, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	var head [image.HeaderSize]byte
	n, err := unix.Pread(fd, head[:], 0)
	if err != nil {
		return nil, err
	}
	h, err := image.Decode(head[:n], st.Size)
	if err != nil {
		return nil, err
	}
	off, length := h.Span(image.Code - 1)
	data, err := unix.Mmap(fd, 0, int(off+length), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	return &mapped{h, fd, data, true}, nil
}

// part returns a part that lies before the machine code. It is not to be
// written to: the pages are read-only.
func (m *mapped) part(p image.Part) []byte {
	off, n := m.Span(p)
	return m.data[off : off+n]
}

// Get serves wazero's entry of this image once, whatever the key: the first
// module that is asked for is the image's skeleton, whose key is not the one it
// was compiled under. Then come modules of ours that have no code.
func (m *mapped) Get([sha256.Size]byte) (io.ReadCloser, bool, error) {
	if !m.serving {
		return nil, false, nil
	}
	m.serving = false
	return &entry{image: m, rest: m.part(image.Prefix)}, true, nil
}

func (*mapped) Add([sha256.Size]byte, io.Reader) error { return nil }
func (*mapped) Delete([sha256.Size]byte) error         { return errStale }

var errStale = errors.New("it was compiled by another version of wazero")

// entry reads wazero's serialized entry: prefix, code, suffix. wazero reads the
// code in one piece, straight into the anonymous pages that it will execute;
// then the image's own pages are put into their place, which all processes
// that run this module share.
type entry struct {
	image *mapped
	rest  []byte
	stage int // 0 prefix, 1 code, 2 suffix
	done  int64
}

func (e *entry) Read(p []byte) (int, error) {
	for {
		if e.stage == 1 {
			if n, err := e.code(p); n > 0 || err != nil {
				return n, err
			}
			e.stage, e.rest = 2, e.image.part(image.Suffix)
		}
		if len(e.rest) > 0 || len(p) == 0 {
			n := copy(p, e.rest)
			e.rest = e.rest[n:]
			return n, nil
		}
		if e.stage == 2 {
			return 0, io.EOF
		}
		e.stage = 1
	}
}

// code gives the machine code: by mapping it where p is just its place, else
// by copying.
func (e *entry) code(p []byte) (int, error) {
	off, size := e.image.Span(image.Code)
	if e.done == size || len(p) == 0 {
		return 0, nil
	}
	if e.done == 0 && int64(len(p)) == size && mapOver(p, e.image.fd, off) == nil {
		e.done = size
		return len(p), nil
	}
	n, err := unix.Pread(e.image.fd, p[:min(int64(len(p)), size-e.done)], off+e.done)
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	e.done += int64(max(n, 0))
	return n, err
}

func (*entry) Close() error { return nil }

// mapOver replaces the pages of p, which must be a mapping of its own, by those
// of a file. A file system mounted noexec refuses, and leaves p as it is.
func mapOver(p []byte, fd int, off int64) error {
	addr := unsafe.Pointer(unsafe.SliceData(p))
	if uintptr(addr)%uintptr(unix.Getpagesize()) != 0 {
		return unix.EINVAL
	}
	_, err := unix.MmapPtr(fd, off, addr, uintptr(len(p)),
		unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_FIXED)
	return err
}
