// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
)

// jail is a directory with a file outside of it that must not be reached, and
// links inside that lead there.
type jail struct {
	top    string
	dir    *File
	before map[string]string
}

const secret = "the host's secret"

func newJail(t *testing.T, root bool) *jail {
	t.Helper()
	top := t.TempDir()
	j := &jail{top: top}
	inside := filepath.Join(top, "jail")
	for _, d := range []string{"outside", "outside/empty", "jail", "jail/dir", "jail/dir/deep"} {
		must(t, os.Mkdir(filepath.Join(top, d), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(top, "outside/secret"), []byte(secret), 0o644))
	must(t, os.WriteFile(filepath.Join(inside, "file"), []byte("inside"), 0o644))
	for name, target := range map[string]string{
		"abs":        filepath.Join(top, "outside"),
		"absfile":    filepath.Join(top, "outside/secret"),
		"rel":        "../outside",
		"relfile":    "../outside/secret",
		"updown":     "dir/../../outside",
		"chain":      "dir/chain2",
		"dir/chain2": "../rel",
		"up":         "..",
		"rootlink":   "/",
		"proc":       "/proc/self/root",
		"cwd":        "/proc/self/cwd",
		"fd":         "/proc/self/fd",
		"dir/up2":    "../..",
	} {
		must(t, os.Symlink(target, filepath.Join(inside, name)))
	}
	var errno Errno
	if j.dir, errno = new(Files).Preopen(inside, false, root); errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { j.dir.Close() })
	j.before = tree(t, filepath.Join(top, "outside"))
	return j
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree is everything below a directory, with contents and what a change would
// change.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		content, _ := os.ReadFile(path)
		all[path] = fmt.Sprint(st.Mode, st.Ino, st.Nlink, st.Size, st.Mtim, string(content))
		return nil
	}))
	return all
}

// escapes are names for something outside of the jail.
var escapes = []string{
	"abs/secret", "absfile", "rel/secret", "relfile", "updown/secret", "chain/secret", "up/outside/secret",
	"up/up/outside/secret", "dir/up2/outside/secret", "proc/etc/passwd", "cwd/jail_test.go", "fd/0",
	"../outside/secret", "dir/../../outside/secret", "dir/deep/../../../outside/secret", "./../outside/secret",
	"..", "../", "dir/../..", "up", "dir/up2", "abs", "abs/", "rel/", "abs/empty", "rel/empty",
	"/etc/passwd", "//etc/passwd", "/", "rel/../outside/secret",
}

// TestJail tries every operation on every escape, through either kind of
// preopen. There is no mount namespace around it.
func TestJail(t *testing.T) {
	for _, root := range []bool{false, true} {
		t.Run(fmt.Sprintf("root=%v", root), func(t *testing.T) {
			j := newJail(t, root)
			for _, name := range escapes {
				j.attack(t, name)
			}
			if after := tree(t, filepath.Join(j.top, "outside")); fmt.Sprint(after) != fmt.Sprint(j.before) {
				t.Errorf("something outside was changed:\nbefore %v\nafter  %v", j.before, after)
			}
			if _, err := os.Stat(filepath.Join(j.top, "new")); err == nil {
				t.Error("something was made outside")
			}
		})
	}
}

// attack tries everything with a name. Where the jail is the root of the file
// system some of these names mean something inside of it; all that counts is
// that nothing outside is reached.
func (j *jail) attack(t *testing.T, name string) {
	d, path := j.dir, []byte(name)
	outside := j.inodes(t)
	for _, o := range []Open{
		{Read: true}, {Read: true, Follow: true}, {Read: true, Write: true, Follow: true},
		{Read: true, Follow: true, Directory: true}, {Read: true, Directory: true},
		{Write: true, Create: true, Follow: true}, {Write: true, Create: true, Exclusive: true},
	} {
		f, errno := d.Open(path, o)
		if errno != 0 {
			continue
		}
		var st descriptor.Stat
		if f.Stat(&st); outside[st.Ino] {
			t.Errorf("open %q with %+v reached the outside", name, o)
		}
		f.Close()
	}
	var st descriptor.Stat
	for _, follow := range []bool{false, true} {
		if d.StatAt(path, follow, &st) == 0 && outside[st.Ino] {
			t.Errorf("stat %q (follow %v) reached the outside", name, follow)
		}
		d.SetTimesAt(path, follow, 12345, 12345)
		if d.Link(path, follow, d, []byte("stolen")) == 0 {
			if d.StatAt([]byte("stolen"), true, &st) == 0 && outside[st.Ino] {
				t.Errorf("link %q (follow %v) reached the outside", name, follow)
			}
			d.Unlink([]byte("stolen"))
		}
	}
	below := append(append([]byte{}, path...), "/new"...)
	d.Mkdir(below)
	d.Symlink([]byte("x"), below)
	d.Rename([]byte("file"), d, below)
	d.Link([]byte("file"), false, d, below)
	if f, errno := d.Open(below, Open{Write: true, Create: true, Follow: true}); errno == 0 {
		f.Close()
	}
	for _, made := range []string{"outside/new", "outside/empty/new", "outside/secret/new", "new"} {
		if _, err := os.Lstat(filepath.Join(j.top, made)); err == nil {
			t.Errorf("something was made by %q", below)
		}
	}
	// These take links away, so only names that lead further are tried.
	if d.StatAt(path, false, &st) != 0 || st.Kind != descriptor.SymbolicLink {
		d.Unlink(path)
		d.Rmdir(path)
	}
	if d.Rename(path, d, []byte("stolen")) == 0 {
		if d.StatAt([]byte("stolen"), true, &st) == 0 && outside[st.Ino] {
			t.Errorf("rename %q reached the outside", name)
		}
		if errno := d.Rename([]byte("stolen"), d, path); errno != 0 {
			t.Fatalf("putting %q back: %v", name, errno)
		}
	}
	var buf [256]byte
	d.Readlink(path, buf[:])
}

// inodes are those of everything outside, and of the jail's parent.
func (j *jail) inodes(t *testing.T) map[uint64]bool {
	all := make(map[uint64]bool)
	for _, dir := range []string{"", "outside", "outside/secret", "outside/empty"} {
		var st unix.Stat_t
		must(t, unix.Stat(filepath.Join(j.top, dir), &st))
		all[st.Ino] = true
	}
	return all
}

// TestEscapeIsEPERM is the errno that a guest sees, as from wasmtime.
func TestEscapeIsEPERM(t *testing.T) {
	narrow, root := newJail(t, false), newJail(t, true)
	for _, name := range []string{"/etc", "..", "../x", "dir/../../x", "dir/../.."} {
		for _, j := range []*jail{narrow, root} {
			if _, errno := j.dir.Open([]byte(name), Open{Read: true}); errno != syscall.EPERM {
				t.Errorf("open %q: %v, want EPERM", name, errno)
			}
			if errno := j.dir.Mkdir([]byte(name)); errno != syscall.EPERM {
				t.Errorf("mkdir %q: %v, want EPERM", name, errno)
			}
		}
	}
	for _, name := range []string{"abs", "absfile", "rel", "up", "rootlink", "chain"} {
		if _, errno := narrow.dir.Open([]byte(name), Open{Read: true, Follow: true}); errno != syscall.EPERM {
			t.Errorf("open %q: %v, want EPERM", name, errno)
		}
	}
	if errno := root.dir.Symlink([]byte("/etc"), []byte("new")); errno != syscall.EPERM {
		t.Errorf("symlink to an absolute target: %v, want EPERM", errno)
	}
}

// TestRootLinks is what links mean where the directory is the root of the file
// system: absolute ones begin at it, and ".." stays in it.
func TestRootLinks(t *testing.T) {
	j := newJail(t, true)
	inside := filepath.Join(j.top, "jail")
	must(t, os.Symlink("/dir/deep", filepath.Join(inside, "absdir")))
	must(t, os.Symlink("../../../file", filepath.Join(inside, "dir/over")))
	var st, want descriptor.Stat
	j.dir.StatAt([]byte("file"), true, &want)
	for _, name := range []string{"rootlink/file", "up/file", "dir/over", "absdir/../deep/../over", "up/up/up/file"} {
		if errno := j.dir.StatAt([]byte(name), true, &st); errno != 0 || st.Ino != want.Ino {
			t.Errorf("stat %q: %v, inode %d; want %d", name, errno, st.Ino, want.Ino)
		}
	}
	// A hard link that follows goes the same way.
	must(t, os.Symlink("/rootlink/file", filepath.Join(inside, "abs2")))
	if errno := j.dir.Link([]byte("abs2"), true, j.dir, []byte("hard2")); errno != 0 {
		t.Errorf("link through abs2: %v", errno)
	}
	if errno := j.dir.StatAt([]byte("hard2"), false, &st); errno != 0 || st.Ino != want.Ino {
		t.Errorf("the hard link: %v, inode %d; want %d", errno, st.Ino, want.Ino)
	}
}

// TestSymlinkRace has one guest swap a directory for a link to the outside while
// another opens files through it.
func TestSymlinkRace(t *testing.T) {
	for _, root := range []bool{false, true} {
		t.Run(fmt.Sprintf("root=%v", root), func(t *testing.T) {
			j := newJail(t, root)
			inside := filepath.Join(j.top, "jail")
			must(t, os.Mkdir(filepath.Join(inside, "swap"), 0o755))
			must(t, os.WriteFile(filepath.Join(inside, "swap/secret"), []byte("harmless"), 0o644))
			var stop atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				for !stop.Load() {
					unix.Renameat2(unix.AT_FDCWD, filepath.Join(inside, "swap"), unix.AT_FDCWD,
						filepath.Join(inside, "rel"), unix.RENAME_EXCHANGE)
				}
			}()
			defer func() {
				stop.Store(true)
				<-done
			}()
			var opened, refused int
			for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
				for _, name := range []string{"swap/secret", "swap/../swap/secret", "dir/../swap/secret"} {
					f, errno := j.dir.Open([]byte(name), Open{Read: true, Follow: true})
					if errno != 0 {
						refused++
						continue
					}
					opened++
					buf := [][]byte{make([]byte, 64)}
					if n, _ := f.Readv(buf); string(buf[0][:n]) == secret {
						t.Fatal("the race was won")
					}
					f.Close()
				}
			}
			t.Logf("%d opened, %d refused", opened, refused)
		})
	}
}
