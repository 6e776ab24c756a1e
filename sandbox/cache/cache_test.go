// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine/image"
)

// wasm is a module's header with something behind it that makes it this one.
func wasm(text string) string { return "\x00asm\x01\x00\x00\x00" + text }

// compiler writes an image that holds the module itself, and counts.
type compiler struct {
	calls atomic.Int32
	// before is called with each module that is compiled; nil for nothing.
	before func(ctx context.Context) error
}

func (c *compiler) compile(ctx context.Context, module, out *os.File) error {
	c.calls.Add(1)
	if c.before != nil {
		if err := c.before(ctx); err != nil {
			return err
		}
	}
	b, err := io.ReadAll(io.NewSectionReader(module, 0, 1<<30))
	if err != nil {
		return err
	}
	h := &image.Header{Stamp: time.Now().UnixNano()}
	return image.Write(out, h, &image.Parts{image.Skeleton: b, image.Code: make([]byte, 3*image.Align)})
}

func open(t *testing.T, c *compiler, size int64) *Cache {
	t.Helper()
	cache, err := Open(filepath.Join(t.TempDir(), "cache"), Options{Size: size, Compile: c.compile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	return cache
}

func file(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "module")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// ensure asks for a module and checks that the image is that module's.
func ensure(t *testing.T, c *Cache, content string) *Entry {
	t.Helper()
	e, err := c.Ensure(context.Background(), file(t, content), "/app.wasm", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	h, _, err := image.Read(e.Image)
	if err != nil {
		t.Fatal(err)
	}
	off, n := h.Span(image.Skeleton)
	b := make([]byte, n)
	if _, err := e.Image.ReadAt(b, off); err != nil || string(b) != content {
		t.Errorf("the image is of %q, want %q (%v)", b, content, err)
	}
	return e
}

// names lists the files of a cache.
func names(t *testing.T, c *Cache) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), slotPrefix) {
			list = append(list, e.Name())
		}
	}
	return list
}

func TestEnsure(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	for i, want := range []struct {
		content string
		cached  bool
	}{{"a", false}, {"a", true}, {"b", false}, {"a", true}, {"b", true}} {
		if e := ensure(t, c, wasm(want.content)); e.Cached != want.cached {
			t.Errorf("%d: cached is %v, want %v", i, e.Cached, want.cached)
		}
	}
	if n := comp.calls.Load(); n != 2 {
		t.Errorf("compiled %d times, want 2", n)
	}
	if list := names(t, c); len(list) != 2 {
		t.Errorf("files %q, want two", list)
	}
}

// TestNothingInherited: the compile process, whose like are forked meanwhile,
// gets no descriptor of the container's file.
func TestNothingInherited(t *testing.T) {
	f := file(t, wasm("inherited"))
	seen := 0
	c := open(t, &compiler{before: func(context.Context) error {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		for _, e := range fds {
			if link, _ := os.Readlink("/proc/self/fd/" + e.Name()); link != f.Name() {
				continue
			}
			seen++
			fd, _ := strconv.Atoi(e.Name())
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d of the module is inherited", fd)
			}
		}
		return nil
	}}, 0)
	e, err := c.Ensure(context.Background(), f, "/app.wasm", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if seen < 2 {
		t.Errorf("%d descriptors of the module, want the caller's and the cache's", seen)
	}
}

func TestEnsureRefuses(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	tests := []struct {
		name string
		file *os.File
		want string
	}{
		{"empty", file(t, ""), "module /app.wasm is empty"},
		{"text", file(t, "(module)\n"), "module /app.wasm is text in the WebAssembly text format"},
		{"component", file(t, "\x00asm\x0d\x00\x01\x00"), "module /app.wasm is a WebAssembly component: components are not yet run"},
		{"directory", dir, "module /app.wasm is not a regular file"},
		{"large", file(t, wasm(strings.Repeat("x", 100))), "module /app.wasm has 108 bytes and may have 64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Ensure(context.Background(), tt.file, "/app.wasm", 64)
			if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if comp.calls.Load() != 0 || len(names(t, c)) != 0 {
		t.Errorf("compiled %d times, left %q", comp.calls.Load(), names(t, c))
	}
}

// A module that the compiler refuses is refused again without compiling; other
// failures are not remembered.
func TestCompilerFails(t *testing.T) {
	fail := error(Refusal("is not a valid module: no"))
	comp := compiler{before: func(context.Context) error { return fail }}
	c := open(t, &comp, 0)
	f := file(t, wasm("bad"))
	for range 3 {
		_, err := c.Ensure(context.Background(), f, "/app.wasm", 1<<20)
		if want := "module /app.wasm is not a valid module: no: invalid argument"; err == nil || err.Error() != want {
			t.Fatalf("error %v, want %q", err, want)
		}
	}
	if n := comp.calls.Load(); n != 1 {
		t.Errorf("compiled %d times, want once", n)
	}
	fail = unix.ENOSPC
	f = file(t, wasm("other"))
	for range 2 {
		if _, err := c.Ensure(context.Background(), f, "/app.wasm", 1<<20); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("error %v, want ENOSPC", err)
		}
	}
	fail = nil
	ensure(t, c, wasm("other"))
	if n := comp.calls.Load(); n != 4 {
		t.Errorf("compiled %d times, want 4", n)
	}
	if list := names(t, c); len(list) != 2 {
		t.Errorf("files %q, want two", list)
	}
}

func TestDamaged(t *testing.T) {
	tests := []struct {
		name   string
		damage func(f *os.File) error
	}{
		{"header", func(f *os.File) error { _, err := f.WriteAt([]byte{0xff}, 20); return err }},
		{"contents", func(f *os.File) error { _, err := f.WriteAt([]byte("x"), image.HeaderSize+9); return err }},
		{"end", func(f *os.File) error { return f.Truncate(1000) }},
		{"all", func(f *os.File) error { return f.Truncate(0) }},
		{"longer", func(f *os.File) error { _, err := f.WriteAt([]byte("x"), 1<<20); return err }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var comp compiler
			c := open(t, &comp, 0)
			e := ensure(t, c, wasm("module"))
			f, err := os.OpenFile(filepath.Join(c.dir, e.key), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := tt.damage(f); err != nil {
				t.Fatal(err)
			}
			ensure(t, c, wasm("module"))
			if n := comp.calls.Load(); n != 2 {
				t.Errorf("compiled %d times, want 2", n)
			}
			if !ensure(t, c, wasm("module")).Cached {
				t.Error("the new image is not used")
			}
		})
	}
}

// A copy of the cache without its times is as good.
func TestTimesLost(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	e := ensure(t, c, wasm("module"))
	name := filepath.Join(c.dir, e.key)
	if err := os.Chtimes(name, time.Unix(1, 0), time.Unix(2, 0)); err != nil {
		t.Fatal(err)
	}
	if !ensure(t, c, wasm("module")).Cached {
		t.Error("compiled again")
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil || time.Since(time.Unix(st.Atim.Unix())) > time.Minute {
		t.Errorf("the time of use is %v (%v)", st.Atim, err)
	}
}

func TestDiscard(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	for range 2 {
		if err := ensure(t, c, wasm("module")).Discard(); err != nil {
			t.Fatal(err)
		}
	}
	if n := comp.calls.Load(); n != 2 {
		t.Errorf("compiled %d times, want 2", n)
	}
}

func TestPrune(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	for _, m := range []string{"a", "b", "c", "d"} {
		ensure(t, c, wasm(m))
		time.Sleep(5 * time.Millisecond) // file times have the timer's resolution
	}
	ensure(t, c, wasm("a")) // the oldest, used last
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(c.dir, names(t, c)[0]), &st); err != nil {
		t.Fatal(err)
	}
	c.options.Size = st.Blocks * 512 * 7 / 2 // room for three
	ensure(t, c, wasm("e"))
	left := comp.calls.Load()
	ensure(t, c, wasm("a"))
	ensure(t, c, wasm("e"))
	if comp.calls.Load() != left {
		t.Error("what was used last is gone")
	}
	if n := len(names(t, c)); n > 3 {
		t.Errorf("%d files are left, want 3 at most", n)
	}
}

func TestSweep(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	old := filepath.Join(c.dir, "dead"+unfinished)
	held := filepath.Join(c.dir, "held"+unfinished)
	for _, name := range []string{old, held} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ensure(t, c, wasm("module"))
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("what a dead shim left is there: %v", err)
	}
	if _, err := os.Stat(held); err != nil {
		t.Errorf("what a shim writes is gone: %v", err)
	}
}

// Many that ask at once, in one process and in several (which a second Cache on
// the same folder is like), share one compilation.
func TestOnce(t *testing.T) {
	release := make(chan struct{})
	comp := compiler{before: func(context.Context) error { <-release; return nil }}
	a := open(t, &comp, 0)
	b, err := Open(a.dir, a.options)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const each = 20
	var wg sync.WaitGroup
	errs := make(chan error, 2*each)
	for i := range 2 * each {
		c := []*Cache{a, b}[i%2]
		f := file(t, wasm("module"))
		wg.Go(func() {
			e, err := c.Ensure(context.Background(), f, "/app.wasm", 1<<20)
			if err == nil {
				err = e.Close()
			}
			errs <- err
		})
	}
	waitFor(t, func() bool { return waiters(a)+waiters(b) == 2*each })
	close(release)
	wg.Wait()
	for range 2 * each {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := comp.calls.Load(); n != 1 {
		t.Errorf("compiled %d times, want once", n)
	}
	if list := names(t, a); len(list) != 1 {
		t.Errorf("files %q, want one", list)
	}
}

// However many different modules are asked for, few are compiled at a time.
func TestSlots(t *testing.T) {
	var now, most atomic.Int32
	comp := compiler{before: func(context.Context) error {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		now.Add(-1)
		return nil
	}}
	c := open(t, &comp, 0)
	var wg sync.WaitGroup
	for i := range 20 {
		f := file(t, wasm(fmt.Sprint(i)))
		wg.Go(func() {
			e, err := c.Ensure(context.Background(), f, "/app.wasm", 1<<20)
			if err != nil {
				t.Error(err)
				return
			}
			e.Close()
		})
	}
	wg.Wait()
	if most.Load() > slots {
		t.Errorf("%d modules were compiled at a time, want %d at most", most.Load(), slots)
	}
}

func waiters(c *Cache) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.running {
		n += f.waiters
	}
	return n
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it takes too long")
		}
	}
}

// One that gives up does not end what others wait for; the last one does.
func TestGiveUp(t *testing.T) {
	ended := make(chan error, 1)
	comp := compiler{before: func(ctx context.Context) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	c := open(t, &comp, 0)
	var cancels []context.CancelFunc
	done := make(chan error)
	for range 2 {
		ctx, cancel := context.WithCancel(context.Background())
		cancels = append(cancels, cancel)
		f := file(t, wasm("module"))
		go func() {
			_, err := c.Ensure(ctx, f, "/app.wasm", 1<<20)
			done <- err
		}()
	}
	waitFor(t, func() bool { return waiters(c) == 2 && comp.calls.Load() == 1 })
	cancels[0]()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-ended:
		t.Fatal("compiling has ended")
	default:
	}
	cancels[1]()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
	comp.before = nil
	ensure(t, c, wasm("module"))
	if list := names(t, c); len(list) != 1 {
		t.Errorf("files %q, want one", list)
	}
}

// A module that changes between the look-up and the copy is not compiled under
// the wrong key.
func TestChangedMeanwhile(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	f := file(t, wasm("module"))
	src, err := newSource(f, "/app.wasm", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := src.digest(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("other!"), 8); err != nil {
		t.Fatal(err)
	}
	_, err = c.wait(context.Background(), image.Key(sum), src)
	if !errors.Is(err, errdefs.ErrInvalidArgument) || comp.calls.Load() != 0 {
		t.Errorf("error %v after %d compilations", err, comp.calls.Load())
	}
	if list := names(t, c); len(list) != 0 {
		t.Errorf("files %q are left", list)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, errdefs.ErrFailedPrecondition) {
		t.Errorf("a folder that all may write to: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 1000, 1000); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); !errors.Is(err, errdefs.ErrFailedPrecondition) {
			t.Errorf("another user's folder: %v", err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, Options{}); err == nil {
		t.Error("a symbolic link is followed")
	}
}

func BenchmarkHit(b *testing.B) {
	for _, size := range []int{50 << 10, 3 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			comp := &compiler{}
			c, err := Open(filepath.Join(b.TempDir(), "cache"), Options{Compile: comp.compile})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			f, err := os.CreateTemp(b.TempDir(), "module")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString(wasm(strings.Repeat("x", size))); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				e, err := c.Ensure(context.Background(), f, "/app.wasm", 1<<30)
				if err != nil {
					b.Fatal(err)
				}
				e.Close()
			}
		})
	}
}
