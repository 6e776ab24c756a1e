// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine/module"
)

// source is a module as somebody else has it: a file that may change at any
// time, and so is read and never mapped.
type source struct {
	fd   int
	name string
	size int64
}

func newSource(f *os.File, name string, maxSize int64) (*source, error) {
	s := &source{fd: int(f.Fd()), name: name}
	var st unix.Stat_t
	if err := unix.Fstat(s.fd, &st); err != nil {
		return nil, s.failed(err)
	}
	s.size = st.Size
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, s.invalid("is not a regular file")
	case st.Size > maxSize:
		return nil, s.invalid(fmt.Sprintf("has %d bytes and may have %d: raise the limit of the module's size in the settings", st.Size, maxSize))
	}
	head := make([]byte, module.HeadSize)
	n, err := unix.Pread(s.fd, head, 0)
	if err != nil {
		return nil, s.failed(err)
	}
	if err := module.Check(head[:n]); err != nil {
		return nil, s.invalid(err.Error())
	}
	return s, nil
}

// buffers of the size that files are read in.
var buffers = sync.Pool{New: func() any { return new([1 << 20]byte) }}

// digest reads the module to its end and returns its SHA-256, with a copy of it
// to w unless that is nil.
func (s *source) digest(w io.Writer) (sum [sha256.Size]byte, err error) {
	buf := buffers.Get().(*[1 << 20]byte)
	defer buffers.Put(buf)
	h := sha256.New()
	for off := int64(0); off < s.size; {
		n, err := unix.Pread(s.fd, buf[:min(int64(len(buf)), s.size-off)], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return sum, s.failed(err)
		}
		if n == 0 {
			return sum, s.invalid("became shorter while it was read")
		}
		h.Write(buf[:n])
		if w != nil {
			if _, err := w.Write(buf[:n]); err != nil {
				return sum, fmt.Errorf("copy module %s to be compiled: %w", s.name, err)
			}
		}
		off += int64(n)
	}
	h.Sum(sum[:0])
	return sum, nil
}

func (s *source) invalid(reason any) error {
	return fmt.Errorf("module %s %s: %w", s.name, reason, errdefs.ErrInvalidArgument)
}

func (s *source) failed(err error) error { return s.wrap("read", err) }

// wrap says what was done to the module, unless err is a sentence about it.
func (s *source) wrap(verb string, err error) error {
	if errors.Is(err, errdefs.ErrInvalidArgument) {
		return err
	}
	return fmt.Errorf("%s module %s: %w", verb, s.name, err)
}
