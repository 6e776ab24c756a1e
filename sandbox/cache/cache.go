// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package cache is the node's cache of compiled modules: a folder of images
// (see package image), each under the key of the module's contents, of the
// versions it was compiled with and of the processor.
//
// The shims alone write it, in processes that know nothing of each other. A
// module is compiled by whoever holds the lock on the file that its image is
// written to; the others wait for the lock and then find the image. A shim that
// dies lets go of its lock, and the next one begins again. A finished image is
// renamed to its key and never written to again; it may be unlinked at any
// time, which does not disturb those who have it mapped.
package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine/image"
)

// Dir is where the cache lies unless the operator says otherwise.
const Dir = "/var/lib/containerd-shim-wazero"

// DefaultSize of a cache in bytes.
const DefaultSize = 4 << 30

// CompileFunc writes the image of a module into an empty file. A Refusal is
// kept in the cache, other errors are not.
type CompileFunc func(ctx context.Context, module, image *os.File) error

// Refusal is a compiler's verdict that a module is not valid; it would be the
// same at each attempt. The text is the end of a sentence that begins with the
// module's name.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Options of a cache.
type Options struct {
	// Size in bytes that all images may have together, 0 for DefaultSize. The
	// least recently used are removed beyond it.
	Size int64
	// Compile is called for a module that is not in the cache.
	Compile CompileFunc
}

// Cache is an open cache. Its methods may be called at the same time.
type Cache struct {
	dir     string
	fd      int
	options Options

	mu sync.Mutex
	// running are the modules that this process is compiling or waiting for,
	// by key. Guarded by mu.
	running map[string]*flight
}

// Open opens the cache in a folder, which is made where it is missing. A folder
// that others than root may write to is refused: machine code is run from it.
func Open(dir string, o Options) (*Cache, error) {
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	fd, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	return &Cache{dir: dir, fd: fd, options: o, running: map[string]*flight{}}, nil
}

// Close closes the cache. Entries that are in use stay usable.
func (c *Cache) Close() error { return unix.Close(c.fd) }

func openDir(dir string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW
	fd, err := unix.Open(dir, flags, 0)
	if err == unix.ENOENT {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return -1, fmt.Errorf("make the compile cache: %w", err)
		}
		if err := unix.Mkdir(dir, 0o700); err != nil && err != unix.EEXIST {
			return -1, fmt.Errorf("make the compile cache %s: %w", dir, err)
		}
		fd, err = unix.Open(dir, flags, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("open the compile cache %s: %w", dir, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("open the compile cache %s: %w", dir, err)
	}
	if st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0 {
		unix.Close(fd)
		return -1, fmt.Errorf("the compile cache %s belongs to user %d with mode %#o: others can write to it, make it root's own with mode 0700: %w",
			dir, st.Uid, st.Mode&0o7777, errdefs.ErrFailedPrecondition)
	}
	return fd, nil
}

// Entry is a module's image in the cache.
type Entry struct {
	// Image is open for reading alone, of a file that is never written again.
	Image *os.File
	// Cached says that nothing had to be compiled.
	Cached bool
	// Accepts says that the module accepts connections of sockets it finds open.
	Accepts bool
	key     string
	cache   *Cache
}

// Close closes the entry's file.
func (e *Entry) Close() error { return e.Image.Close() }

// Discard removes an image that turned out to be damaged where it was used, so
// that the next Ensure compiles the module again.
func (e *Entry) Discard() error { return e.cache.remove(e.key) }

// Ensure returns the image of a module, compiled if need be. The module is read
// by its offset, as it lies under the descriptor; name is how a user knows it,
// for errors. Errors are sentences; they wrap errdefs.ErrInvalidArgument where
// the module is at fault.
func (c *Cache) Ensure(ctx context.Context, module *os.File, name string, maxSize int64) (*Entry, error) {
	defer runtime.KeepAlive(module)
	src, err := newSource(module, name, maxSize)
	if err != nil {
		return nil, err
	}
	digest, err := src.digest(nil)
	if err != nil {
		return nil, err
	}
	key := image.Key(digest)
	e, err := c.lookup(key)
	if errors.Is(err, errMissing) {
		e, err = c.wait(ctx, key, src)
	}
	var refused Refusal
	if errors.As(err, &refused) {
		return nil, src.invalid(refused)
	}
	return e, err
}

// errMissing says that there is no usable image under a key.
var errMissing = errors.New("not in the compile cache")

// lookup opens the image under a key. A Refusal is what was recorded for it.
func (c *Cache) lookup(key string) (*Entry, error) {
	fd, err := unix.Openat(c.fd, key, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err == unix.ENOENT {
		return nil, errMissing
	}
	if err != nil {
		return nil, fmt.Errorf("open %s in the compile cache: %w", key, err)
	}
	f := os.NewFile(uintptr(fd), key)
	h, err := check(f)
	if err != nil {
		f.Close()
		if errors.Is(err, image.ErrDamaged) {
			return nil, errMissing // the new image takes its place
		}
		return nil, fmt.Errorf("read %s in the compile cache: %w", key, err)
	}
	if h.Has(image.Refused) {
		defer f.Close()
		text, err := image.Refusal(f, h)
		if err != nil {
			return nil, errMissing
		}
		return nil, Refusal(text)
	}
	return &Entry{Image: f, Cached: true, Accepts: h.Has(image.Accepts), key: key, cache: c}, nil
}

// check tells whether an image is what was written: by its modification time
// and size, or else by its checksum. It marks the image as used now.
func check(f *os.File) (*image.Header, error) {
	h, st, err := image.Read(f)
	if err != nil {
		return nil, err
	}
	mtime := unix.Timespec{Nsec: unix.UTIME_OMIT}
	if st.Mtim.Nano() != h.Stamp {
		if err := image.Verify(f, h); err != nil {
			return nil, err
		}
		mtime = unix.NsecToTimespec(h.Stamp)
	}
	// The access time alone says when an image was last used. A failure only
	// makes it look older.
	_ = futimens(f, &[2]unix.Timespec{{Nsec: unix.UTIME_NOW}, mtime})
	return h, nil
}

func (c *Cache) remove(key string) error {
	if err := unix.Unlinkat(c.fd, key, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove %s from the compile cache: %w", key, err)
	}
	return nil
}
