// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/fs"
)

// FuzzHost calls any function with any arguments on any memory, one after the
// other on one system. There must be no panic and no wait.
func FuzzHost(f *testing.F) {
	for i := range table {
		// Every function with small numbers, with places in memory, with large ones.
		for _, how := range []byte{0, 1, 2, 3} {
			seed := []byte{how & 1, byte(i)}
			for range len(table[i].params) {
				seed = append(seed, how*64+how, 16, 32, 48)
			}
			f.Add(append(seed, "file\x00dir/../link"...))
		}
	}
	memory := fuzzMemory(f)
	dir := fuzzDir(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		h := newFuzzHost(t, dir, memory, script)
		defer h.close()
		for range 64 {
			if len(h.script) == 0 {
				return
			}
			h.call()
		}
	})
}

// limitFiles keeps a guest's idea of a size from filling the disk. It is called
// where the guest runs: the process that leads a fuzzing run needs large files.
var limitFiles = sync.OnceValue(func() error {
	signal.Ignore(syscall.SIGXFSZ)
	limit := unix.Rlimit{Cur: 4 << 20, Max: unix.RLIM_INFINITY}
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
})

// fuzzDir is a directory in memory if there is one: guests like fd_sync.
func fuzzDir(f *testing.F) string {
	dir, err := os.MkdirTemp("/dev/shm", "fuzz")
	if err != nil {
		return f.TempDir()
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func fuzzMemory(f *testing.F) api.Memory {
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	f.Cleanup(func() { rt.Close(ctx) })
	m, err := rt.Instantiate(ctx, []byte("\x00asm\x01\x00\x00\x00\x05\x03\x01\x00\x01\x07\x0a\x01\x06memory\x02\x00"))
	if err != nil {
		f.Fatal(err)
	}
	return m.Memory()
}

type fuzzHost struct {
	t      *testing.T
	dir    string
	front  *Front
	system *wasi.System
	script []byte
}

// noModule stands for the guest, which may end itself.
type noModule struct{ api.Module }

func (noModule) CloseWithExitCode(context.Context, uint32) error { return nil }

func newFuzzHost(t *testing.T, dir string, memory api.Memory, script []byte) *fuzzHost {
	if err := limitFiles(); err != nil {
		t.Fatal(err)
	}
	h := &fuzzHost{t: t, dir: filepath.Join(dir, "root")}
	os.MkdirAll(filepath.Join(h.dir, "dir"), 0o755)
	os.WriteFile(filepath.Join(h.dir, "file"), []byte("content"), 0o644)
	os.Symlink("dir", filepath.Join(h.dir, "link"))
	os.Symlink("/", filepath.Join(h.dir, "out"))
	var err error
	h.system, err = wasi.New(wasi.Config{
		Args: []string{"guest"}, Env: []string{"A=b"}, Stdin: -1, Stdout: -1, Stderr: -1,
		Listeners: []wasi.Listener{{Socket: &fakeSocket{pollFD: -1, data: "data"}}},
		Preopens: []wasi.Preopen{
			{Path: h.dir, Name: "/", Root: true}, {Path: h.dir, Name: "/ro", ReadOnly: true}, {Path: h.dir, Name: "/n"},
		},
		MaxDescriptors: 32,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.front = &Front{sys: h.system, mod: noModule{}, mem: memory}
	h.script = script
	h.front.unstable = h.byte()&1 != 0
	mem, _ := memory.Read(0, memory.Size())
	clear(mem)
	copy(mem, script)
	copy(mem[0x8000:], script)
	return h
}

func (h *fuzzHost) close() {
	h.system.Close()
	os.RemoveAll(h.dir)
}

func (h *fuzzHost) byte() (b byte) {
	if len(h.script) > 0 {
		b, h.script = h.script[0], h.script[1:]
	}
	return b
}

// call calls the next function of the script.
func (h *fuzzHost) call() {
	row := &table[int(h.byte())%len(table)]
	if row.handle == nil {
		return
	}
	var p [16]uint64
	for i := range row.params {
		p[i] = h.param()
		if row.params[i] == 'i' {
			p[i] = uint64(uint32(p[i]))
		}
	}
	if row.Name == "poll_oneoff" {
		h.impatient(uint32(p[0]))
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(*sys.ExitError); !ok {
				panic(r)
			}
		}
	}()
	if errno := row.handle(h.front, p[:]); errno > ErrnoNotcapable {
		h.t.Fatalf("%s: errno %d does not exist", row.Name, errno)
	}
}

// param is a parameter: a descriptor, flags or a length, a place in memory, a
// number at an edge, or anything.
func (h *fuzzHost) param() uint64 {
	edges := [...]uint64{
		0xffff, 0x10000, 0x10001, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<29 + 1, 4096, 4095,
	}
	b := h.byte()
	switch b >> 6 {
	case 0:
		return uint64(b & 63)
	case 1:
		return uint64(h.byte())<<8 | uint64(h.byte())
	case 2:
		return edges[int(b&63)%len(edges)]
	}
	var v uint64
	for range 8 {
		v = v<<8 | uint64(h.byte())
	}
	return v
}

// impatient makes the first subscription a clock that is over.
func (h *fuzzHost) impatient(at uint32) {
	if b, ok := h.front.Bytes(at, subscriptionSizeUnstable); ok {
		clear(b)
	}
}

// FuzzDirent puts a directory entry into a buffer of any size: what fits must be
// what a guest reads.
func FuzzDirent(f *testing.F) {
	f.Add([]byte("name"), uint64(1), uint64(2), 100)
	f.Add([]byte{}, uint64(0), uint64(0), 0)
	f.Add([]byte(strings.Repeat("x", 255)), ^uint64(0), ^uint64(0), direntSize+255)
	f.Fuzz(func(t *testing.T, name []byte, ino, cookie uint64, size int) {
		if size < 0 || size > 4096 {
			return
		}
		buf := make([]byte, size)
		n := putEntry(buf, &fs.Entry{Name: name, Ino: ino, Cookie: cookie, Kind: 3})
		if want := min(size, direntSize+len(name)); n != want {
			t.Fatalf("%d bytes, want %d", n, want)
		}
		if n < direntSize {
			return
		}
		if le.Uint64(buf) != cookie || le.Uint64(buf[8:]) != ino || le.Uint32(buf[16:]) != uint32(len(name)) || buf[20] != 3 {
			t.Error("the head is not what was put")
		}
		if !strings.HasPrefix(string(name), string(buf[direntSize:n])) {
			t.Error("the name is not what was put")
		}
	})
}

// FuzzPath is any path in every operation on it: an errno for a bad one, and
// nothing outside of the directory.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a", "../a", "a/../../b", "/", "", "a\x00", "\xff", "up/x", "up/../x", "dir//../up/.", "...", "x/"} {
		f.Add(s)
	}
	memory := fuzzMemory(f)
	dir := fuzzDir(f)
	f.Fuzz(func(t *testing.T, path string) {
		if len(path) > 5000 {
			return
		}
		h := newFuzzHost(t, dir, memory, nil)
		defer h.close()
		os.Symlink("..", filepath.Join(h.dir, "up"))
		memory.WriteString(0x1000, path)
		for _, name := range []string{
			"path_open", "path_create_directory", "path_symlink", "path_rename", "path_link", "path_unlink_file",
			"path_remove_directory", "path_filestat_set_times",
		} {
			h.path(name, uint64(len(path)))
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("%q made something outside: %v, %v", path, entries, err)
		}
	})
}

func (h *fuzzHost) path(function string, size uint64) {
	const at, other, otherLen = 0x1000, 0x8000, 4
	h.front.mem.WriteString(other, "file")
	for fd := uint64(4); fd < 7; fd++ {
		params := map[string][]uint64{
			"path_open":               {fd, 1, at, size, openCreate, rightFdWrite, 0, 0, 0},
			"path_create_directory":   {fd, at, size},
			"path_symlink":            {other, otherLen, fd, at, size},
			"path_rename":             {fd, other, otherLen, fd, at, size},
			"path_link":               {fd, 1, other, otherLen, fd, at, size},
			"path_unlink_file":        {fd, at, size},
			"path_remove_directory":   {fd, at, size},
			"path_filestat_set_times": {fd, 1, at, size, 1, 1, setAtime | setMtime},
		}[function]
		for _, row := range table {
			if row.Name != function {
				continue
			}
			errno := row.handle(h.front, params)
			path, _ := h.front.Bytes(at, uint32(size))
			if errno == ErrnoSuccess && (!utf8.Valid(path) || strings.ContainsRune(string(path), 0)) {
				h.t.Errorf("%s took %q", function, path)
			}
		}
	}
}
