// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

func preopen(t testing.TB, dir string, rdonly bool) *File {
	t.Helper()
	f, errno := new(Files).Preopen(dir, rdonly, false)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func open(t testing.TB, dir *File, name string, o Open) *File {
	t.Helper()
	f, errno := dir.Open([]byte(name), o)
	if errno != 0 {
		t.Fatalf("open %q: %v", name, errno)
	}
	t.Cleanup(func() {
		if f.fd >= 0 && f.files != nil {
			f.Close()
		}
	})
	return f
}

// TestBadPaths is what no operation takes, whatever it is.
func TestBadPaths(t *testing.T) {
	dir := preopen(t, t.TempDir(), false)
	other := []byte("other")
	operations := map[string]func(path []byte) Errno{
		"open":       func(p []byte) Errno { _, e := dir.Open(p, Open{Read: true}); return e },
		"create":     func(p []byte) Errno { _, e := dir.Open(p, Open{Write: true, Create: true}); return e },
		"stat":       func(p []byte) Errno { return dir.StatAt(p, false, new(descriptor.Stat)) },
		"statfollow": func(p []byte) Errno { return dir.StatAt(p, true, new(descriptor.Stat)) },
		"times":      func(p []byte) Errno { return dir.SetTimesAt(p, true, Omit, Omit) },
		"mkdir":      dir.Mkdir,
		"unlink":     dir.Unlink,
		"rmdir":      dir.Rmdir,
		"readlink":   func(p []byte) Errno { _, e := dir.Readlink(p, make([]byte, 10)); return e },
		"symlink":    func(p []byte) Errno { return dir.Symlink(other, p) },
		"target":     func(p []byte) Errno { return dir.Symlink(p, other) },
		"rename":     func(p []byte) Errno { return dir.Rename(p, dir, other) },
		"link":       func(p []byte) Errno { return dir.Link(p, false, dir, other) },
		"linkfollow": func(p []byte) Errno { return dir.Link(p, true, dir, other) },
	}
	for _, c := range []struct {
		path string
		want []Errno
	}{
		{"", []Errno{syscall.ENOENT}},
		{"a\x00b", []Errno{syscall.EINVAL}},
		{"\x00", []Errno{syscall.EINVAL}},
		{"/", []Errno{syscall.EPERM}},
		{"/a", []Errno{syscall.EPERM}},
		{strings.Repeat("a", 4096), []Errno{syscall.ENAMETOOLONG}},
		{strings.Repeat("a/", 2048), []Errno{syscall.ENAMETOOLONG}},
		{strings.Repeat("a/", 50000), []Errno{syscall.ENAMETOOLONG}},
	} {
		for name, operation := range operations {
			if got := operation([]byte(c.path)); got != c.want[0] {
				t.Errorf("%s %.20q (%d bytes): %v, want %v", name, c.path, len(c.path), got, c.want[0])
			}
		}
	}
	// One byte less is the kernel's to judge.
	if _, errno := dir.Open(bytes.Repeat([]byte("a"), 4095), Open{Read: true}); errno != syscall.ENAMETOOLONG {
		t.Errorf("a component of 4095 bytes: %v", errno)
	}
	if _, errno := dir.Open(bytes.Repeat([]byte("./"), 2047), Open{Read: true}); errno != 0 {
		t.Errorf("a path of 4094 bytes: %v", errno)
	}
}

func TestReadOnly(t *testing.T) {
	top := t.TempDir()
	must(t, os.WriteFile(filepath.Join(top, "file"), []byte("text"), 0o644))
	must(t, os.Mkdir(filepath.Join(top, "dir"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "dir/file"), nil, 0o644))
	dir := preopen(t, top, true)
	sub := open(t, dir, "dir", Open{Read: true, Directory: true})
	for _, d := range []*File{dir, sub} {
		errnos := map[string]Errno{
			"mkdir": d.Mkdir([]byte("new")), "unlink": d.Unlink([]byte("file")), "rmdir": d.Rmdir([]byte("dir")),
			"symlink": d.Symlink([]byte("x"), []byte("new")), "rename": d.Rename([]byte("file"), d, []byte("new")),
			"link": d.Link([]byte("file"), false, d, []byte("new")), "times": d.SetTimesAt([]byte("file"), true, 1, 1),
			"own times": d.SetTimes(1, 1),
		}
		for name, o := range map[string]Open{
			"write": {Write: true}, "truncate": {Read: true, Truncate: true}, "create": {Read: true, Create: true},
		} {
			path := "file"
			if o.Create {
				path = "new"
			}
			_, errnos[name] = d.Open([]byte(path), o)
		}
		for name, errno := range errnos {
			if errno != syscall.EROFS {
				t.Errorf("%s: %v, want EROFS", name, errno)
			}
		}
		if errno := d.Mkdir([]byte("file")); errno != syscall.EEXIST {
			t.Errorf("mkdir of what exists: %v, want EEXIST", errno)
		}
	}
	f := open(t, dir, "file", Open{Read: true})
	if errno := f.SetTimes(1, 1); errno != syscall.EROFS {
		t.Errorf("times of an open file: %v, want EROFS", errno)
	}
	if errno := f.SetSize(0); errno != syscall.EBADF {
		t.Errorf("size of an open file: %v, want EBADF", errno)
	}
	buf := [][]byte{make([]byte, 10)}
	if n, errno := f.Readv(buf); n != 4 || errno != 0 {
		t.Errorf("read: %d, %v", n, errno)
	}
}

// TestTrailingSlash is where linkat, readlinkat and the like would follow a link
// that openat2 does not watch.
func TestTrailingSlash(t *testing.T) {
	top := t.TempDir()
	must(t, os.Mkdir(filepath.Join(top, "dir"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "file"), nil, 0o644))
	must(t, os.Symlink("dir", filepath.Join(top, "link")))
	must(t, os.Symlink("/", filepath.Join(top, "out")))
	dir := preopen(t, top, false)
	st := new(descriptor.Stat)
	for _, c := range []struct {
		what      string
		got, want Errno
	}{
		{"stat file/", dir.StatAt([]byte("file/"), false, st), syscall.ENOTDIR},
		{"stat link/", dir.StatAt([]byte("link/"), false, st), 0},
		{"stat out/", dir.StatAt([]byte("out/"), false, st), syscall.EPERM},
		{"times out/", dir.SetTimesAt([]byte("out/"), false, Omit, Omit), syscall.EPERM},
		{"link file/", dir.Link([]byte("file/"), false, dir, []byte("n")), syscall.ENOTDIR},
		{"link out/", dir.Link([]byte("out/"), false, dir, []byte("n")), syscall.ENOTDIR},
		{"unlink file/", dir.Unlink([]byte("file/")), syscall.ENOTDIR},
		{"rmdir link/", dir.Rmdir([]byte("link/")), syscall.ENOTDIR},
		{"mkdir new///", dir.Mkdir([]byte("new///")), 0},
		{"rmdir new/", dir.Rmdir([]byte("new/")), 0},
		{"rmdir .", dir.Rmdir([]byte(".")), syscall.EINVAL},
		{"rmdir dir/..", dir.Rmdir([]byte("dir/..")), syscall.ENOTEMPTY},
		{"rename dir/.", dir.Rename([]byte("dir/."), dir, []byte("x")), syscall.EBUSY},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	for name, want := range map[string]Errno{"out/": syscall.EPERM, "link/": syscall.EINVAL, "file/": syscall.ENOTDIR} {
		if _, errno := dir.Readlink([]byte(name), make([]byte, 10)); errno != want {
			t.Errorf("readlink %s: %v, want %v", name, errno, want)
		}
	}
}

func TestFlags(t *testing.T) {
	dir := preopen(t, t.TempDir(), false)
	f := open(t, dir, "f", Open{Read: true, Write: true, Create: true, Flags: descriptor.Append})
	text := [][]byte{[]byte("ab")}
	f.Writev(text)
	f.Lseek(0, unix.SEEK_SET)
	f.Writev(text)
	if errno := f.SetFlags(0); errno != 0 {
		t.Fatal(errno)
	}
	f.Lseek(0, unix.SEEK_SET)
	f.Writev([][]byte{[]byte("x")})
	var st descriptor.Stat
	if f.Stat(&st); st.Size != 4 || f.Flags() != 0 {
		t.Errorf("size %d, flags %d; want 4, 0", st.Size, f.Flags())
	}
	if errno := f.SetFlags(descriptor.Sync); errno != syscall.EINVAL {
		t.Errorf("setting Sync later: %v, want EINVAL", errno)
	}
}

func TestOffsets(t *testing.T) {
	dir := preopen(t, t.TempDir(), false)
	f := open(t, dir, "f", Open{Read: true, Write: true, Create: true})
	one := [][]byte{make([]byte, 1)}
	const top = 1<<63 - 1
	for what, errno := range map[string]Errno{
		"allocate at the top": f.Allocate(top, 1), "allocate nothing": f.Allocate(0, 0),
		"allocate beyond": f.Allocate(1<<62, 1<<62), "advise": func() Errno { f.Advise(top, top, 0); return syscall.EINVAL }(),
		"size":   f.SetSize(top),
		"pread":  second(f.Preadv(one, -1)),
		"pwrite": second(f.Pwritev(one, top)),
		"seek":   second(f.Lseek(-1, unix.SEEK_SET)),
	} {
		if errno == 0 {
			t.Errorf("%s succeeded", what)
		}
	}
}

func second[T any](_ T, errno Errno) Errno { return errno }

// TestReaddirWhileDeleting reads a directory in small steps and removes what it
// has seen: every entry must still come once.
func TestReaddirWhileDeleting(t *testing.T) {
	places := []string{t.TempDir()}
	if shm, err := os.MkdirTemp("/dev/shm", "readdir"); err == nil {
		t.Cleanup(func() { os.RemoveAll(shm) })
		places = append(places, shm)
	}
	const files = 3000
	for _, place := range places {
		for _, step := range []int{1, 7, 500} {
			t.Run(fmt.Sprintf("%s/step=%d", filepath.Dir(place), step), func(t *testing.T) {
				top := filepath.Join(place, fmt.Sprint(step))
				must(t, os.Mkdir(top, 0o755))
				for i := range files {
					must(t, os.WriteFile(filepath.Join(top, fmt.Sprintf("f%d", i)), nil, 0o600))
				}
				dir := preopen(t, top, false)
				seen := make(map[string]int)
				cookie := uint64(0)
				for {
					names := readSome(t, dir, &cookie, step)
					if len(names) == 0 {
						break
					}
					for _, name := range names {
						seen[name]++
						if name[0] == 'f' {
							must(t, os.Remove(filepath.Join(top, name)))
						}
					}
				}
				if len(seen) != files+2 {
					t.Errorf("%d entries seen, want %d", len(seen), files+2)
				}
				for name, n := range seen {
					if n != 1 {
						t.Errorf("%s came %d times", name, n)
					}
				}
			})
		}
	}
}

// readSome reads entries from a cookie on, and one more that it does not keep,
// as a front does whose buffer is full.
func readSome(t *testing.T, dir *File, cookie *uint64, count int) (names []string) {
	if errno := dir.SeekEntry(*cookie); errno != 0 {
		t.Fatal(errno)
	}
	var e Entry
	for range count {
		more, errno := dir.NextEntry(&e)
		if errno != 0 {
			t.Fatal(errno)
		}
		if !more {
			return names
		}
		names = append(names, string(e.Name))
		*cookie = e.Cookie
	}
	dir.NextEntry(&e)
	return names
}

// TestReaddirSeeks goes to cookies in any order.
func TestReaddirSeeks(t *testing.T) {
	top := t.TempDir()
	for i := range 2000 {
		must(t, os.WriteFile(filepath.Join(top, fmt.Sprintf("f%d", i)), nil, 0o600))
	}
	dir := preopen(t, top, false)
	var cookies []uint64
	var names []string
	cookie := uint64(0)
	for {
		n := readSome(t, dir, &cookie, 1)
		if len(n) == 0 {
			break
		}
		names, cookies = append(names, n[0]), append(cookies, cookie)
	}
	for i := range cookies {
		at := (i * 7919) % (len(cookies) - 1)
		c := cookies[at]
		if n := readSome(t, dir, &c, 1); len(n) != 1 || n[0] != names[at+1] {
			t.Fatalf("behind entry %d comes %v, want %s", at, n, names[at+1])
		}
	}
	end := cookies[len(cookies)-1]
	for range 3 {
		if n := readSome(t, dir, &end, 5); len(n) != 0 {
			t.Errorf("behind the end comes %v", n)
		}
	}
	for _, bad := range []uint64{1 << 63, ^uint64(0), 12345} {
		dir.SeekEntry(bad) // an errno or some place, but no panic
		var e Entry
		dir.NextEntry(&e)
	}
}

// TestReaddirOfMany reads more directories in turns than have a stream, each to its
// end.
func TestReaddirOfMany(t *testing.T) {
	top := t.TempDir()
	const entries = 10
	for i := range entries {
		must(t, os.WriteFile(filepath.Join(top, fmt.Sprintf("f%d", i)), nil, 0o600))
	}
	root := preopen(t, top, false)
	dirs, cookies := make([]*File, 2*maxStreams), make([]uint64, 2*maxStreams)
	seen := make([]map[string]bool, len(dirs))
	for i := range dirs {
		dirs[i], seen[i] = open(t, root, ".", Open{Read: true}), map[string]bool{}
	}
	for range entries + 3 {
		for i, dir := range dirs {
			for _, name := range readSome(t, dir, &cookies[i], 1) {
				seen[i][name] = true
			}
		}
	}
	if n := len(root.files.reading); n > maxStreams {
		t.Errorf("%d directories have a stream, want %d at most", n, maxStreams)
	}
	for i, names := range seen {
		if len(names) != entries+2 {
			t.Errorf("directory %d: %d entries seen, want %d", i, len(names), entries+2)
		}
		// From its beginning again, of which its stream may not know.
		cookies[i] = 0
		if n := readSome(t, dirs[i], &cookies[i], entries+5); len(n) != entries+2 {
			t.Errorf("directory %d, again: %d entries, want %d", i, len(n), entries+2)
		}
	}
}

func TestReaddirOfFile(t *testing.T) {
	dir := preopen(t, t.TempDir(), false)
	f := open(t, dir, "f", Open{Write: true, Create: true})
	if errno := f.SeekEntry(0); errno != syscall.ENOTDIR {
		t.Errorf("%v, want ENOTDIR", errno)
	}
	if _, errno := f.Open([]byte("x"), Open{Read: true}); errno != syscall.ENOTDIR {
		t.Errorf("open below a file: %v, want ENOTDIR", errno)
	}
	if errno := f.Mkdir([]byte("x")); errno != syscall.ENOTDIR {
		t.Errorf("mkdir below a file: %v, want ENOTDIR", errno)
	}
}

// TestPollFD: a named pipe in a directory waits and is polled, a file is not.
func TestPollFD(t *testing.T) {
	top := t.TempDir()
	must(t, unix.Mkfifo(filepath.Join(top, "pipe"), 0o600))
	dir := preopen(t, top, false)
	pipe := open(t, dir, "pipe", Open{Read: true, Write: true})
	file := open(t, dir, "file", Open{Write: true, Create: true})
	if pipe.PollFD() < 0 || file.PollFD() >= 0 || dir.PollFD() >= 0 {
		t.Errorf("poll descriptors: pipe %d, file %d, directory %d", pipe.PollFD(), file.PollFD(), dir.PollFD())
	}
	if pipe.Kind() != descriptor.FIFO {
		t.Errorf("kind of the pipe: %d", pipe.Kind())
	}
}
