// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine/image"
)

// flight is a module on its way into the cache. All that ask for it in this
// process share one; the last that gives up ends it.
type flight struct {
	key     string
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int   // guarded by Cache.mu
	err     error // set before done is closed
}

// wait has a module compiled, by this process or by another, and returns its
// entry.
func (c *Cache) wait(ctx context.Context, key string, src *source) (*Entry, error) {
	f, err := c.join(ctx, key, src)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		c.leave(f)
		return nil, fmt.Errorf("compile module %s: %w", src.name, context.Cause(ctx))
	}
	if f.err != nil {
		return nil, src.wrap("compile", f.err)
	}
	e, err := c.lookup(key)
	if errors.Is(err, errMissing) {
		err = fmt.Errorf("compile module %s: its image is gone again: the compile cache is too small or being cleared", src.name)
	}
	if err == nil {
		e.Cached = false
	}
	return e, err
}

// join finds the flight of a key, or begins it. The module is copied before
// this returns, since the caller's descriptor may be closed afterwards.
func (c *Cache) join(ctx context.Context, key string, src *source) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.running[key]; f != nil {
		f.waiters++
		return f, nil
	}
	// Close-on-exec, or programs that are started meanwhile would inherit it.
	fd, err := unix.FcntlInt(uintptr(src.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, src.failed(err)
	}
	own := *src
	own.fd = fd
	f := &flight{key: key, done: make(chan struct{}), waiters: 1}
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.running[key] = f
	go func() {
		f.err = c.fill(ctx, key, &own)
		unix.Close(fd)
		c.land(f)
		close(f.done)
	}()
	return f, nil
}

// leave gives up a flight, which ends with its last waiter.
func (c *Cache) leave(f *flight) {
	c.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	c.mu.Unlock()
	if last {
		c.land(f)
	}
}

// land ends a flight: whoever comes now begins another.
func (c *Cache) land(f *flight) {
	f.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[f.key] == f {
		delete(c.running, f.key)
	}
}

// fill brings an image into the cache unless another process does.
func (c *Cache) fill(ctx context.Context, key string, src *source) error {
	out, err := c.claim(ctx, key)
	if err != nil || out == nil {
		return err
	}
	// The lock lies on this file: it is closed when the name is gone.
	defer out.Close()
	err = c.compile(ctx, key, src, out)
	if err == nil {
		err = c.publish(key, out)
	}
	if err != nil {
		_ = unix.Unlinkat(c.fd, key+unfinished, 0)
		return err
	}
	c.prune(key)
	return nil
}

// unfinished is the end of the name of an image that is being written.
const unfinished = ".tmp"

// claim gets the lock on the file that an image is written to, and that file,
// empty. It returns nil where another process has brought the image meanwhile.
func (c *Cache) claim(ctx context.Context, key string) (*os.File, error) {
	for {
		if e, err := c.lookup(key); err == nil {
			return nil, e.Close()
		} else if !errors.Is(err, errMissing) {
			return nil, err
		}
		fd, err := unix.Openat(c.fd, key+unfinished, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("write to the compile cache %s: %w", c.dir, err)
		}
		f := os.NewFile(uintptr(fd), key)
		if err := lock(ctx, f); err != nil {
			f.Close()
			return nil, err
		}
		if c.names(key+unfinished, f) {
			if err := f.Truncate(0); err != nil {
				f.Close()
				return nil, err
			}
			return f, nil
		}
		f.Close() // published, or given up: look again
	}
}

// lock waits for the exclusive lock on a file. Giving up leaves the file to the
// one that is still waiting in the kernel, which closes it.
func lock(ctx context.Context, f *os.File) error {
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		return nil
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	got := make(chan error, 1)
	go func() {
		err := unix.Flock(fd, unix.LOCK_EX)
		for err == unix.EINTR {
			err = unix.Flock(fd, unix.LOCK_EX)
		}
		unix.Close(fd) // f shares the lock, if it is still open
		got <- err
	}()
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// names reports whether a name in the cache is still that of an open file.
func (c *Cache) names(name string, f *os.File) bool {
	var a, b unix.Stat_t
	return unix.Fstatat(c.fd, name, &a, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstat(int(f.Fd()), &b) == nil && a.Ino == b.Ino && a.Dev == b.Dev
}

// compile copies the module out of the reach of those who can write to it and
// has the copy compiled. A refusal becomes an image of its own.
func (c *Cache) compile(ctx context.Context, key string, src *source, out *os.File) error {
	in, err := c.scratch()
	if err != nil {
		return err
	}
	defer in.Close()
	sum, err := src.digest(in)
	if err != nil {
		return err
	}
	if image.Key(sum) != key {
		return src.invalid("was changed while it was read")
	}
	turn, err := c.slot(ctx, key)
	if err != nil {
		return err
	}
	defer turn.Close()
	err = c.options.Compile(ctx, in, out)
	var refused Refusal
	if errors.As(err, &refused) {
		if err := out.Truncate(0); err != nil {
			return err
		}
		return image.WriteRefusal(out, string(refused))
	}
	return err
}

// scratch makes a file without a name on the cache's file system.
func (c *Cache) scratch() (*os.File, error) {
	f, err := os.CreateTemp(c.dir, "module-*"+unfinished)
	if err != nil {
		return nil, fmt.Errorf("write to the compile cache: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("write to the compile cache: %w", err)
	}
	return f, nil
}

// publish gives a finished image its name, after it is on the disk.
func (c *Cache) publish(key string, out *os.File) error {
	h, _, err := image.Read(out)
	if err == nil {
		err = image.Verify(out, h)
	}
	if err != nil {
		return fmt.Errorf("the compiler's result: %w", err)
	}
	if err := out.Chmod(0o400); err != nil {
		return err
	}
	if err := futimens(out, &[2]unix.Timespec{{Nsec: unix.UTIME_NOW}, unix.NsecToTimespec(h.Stamp)}); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := unix.Renameat(c.fd, key+unfinished, c.fd, key); err != nil {
		return err
	}
	return unix.Fsync(c.fd)
}
