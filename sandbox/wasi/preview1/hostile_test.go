// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi"
)

// TestBadPointers puts every pointer of every function where there is no memory,
// or not enough.
func TestBadPointers(t *testing.T) {
	g, dir := newDirGuest(t, ModuleName)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	fd, _ := g.open(3, "file", 0)
	path, n := g.put(pathAt, "file")
	link, linkLen := g.put(path2At, "link")
	iovs, count := g.iovecs(0x200, [2]uint32{dataAt, 4})
	g.subscribeClock(dataAt, 1, 1, 0, 0)
	for _, c := range []struct {
		function string
		params   []uint64
		pointers []int // which parameters are pointers
	}{
		{"args_sizes_get", []uint64{resultAt, resultAt}, []int{0, 1}},
		{"args_get", []uint64{dataAt, dataAt}, []int{0, 1}},
		{"environ_sizes_get", []uint64{resultAt, resultAt}, []int{0, 1}},
		{"environ_get", []uint64{dataAt, dataAt}, []int{0, 1}},
		{"clock_res_get", []uint64{0, resultAt}, []int{1}},
		{"clock_time_get", []uint64{0, 0, resultAt}, []int{2}},
		{"fd_fdstat_get", []uint64{fd, dataAt}, []int{1}},
		{"fd_filestat_get", []uint64{fd, dataAt}, []int{1}},
		{"fd_pread", []uint64{fd, iovs, count, 0, resultAt}, []int{1, 4}},
		{"fd_prestat_dir_name", []uint64{3, dataAt, 10}, []int{1}},
		{"fd_prestat_get", []uint64{3, dataAt}, []int{1}},
		{"fd_pwrite", []uint64{fd, iovs, count, 0, resultAt}, []int{1, 4}},
		{"fd_read", []uint64{fd, iovs, count, resultAt}, []int{1, 3}},
		{"fd_readdir", []uint64{3, dataAt, 100, 0, resultAt}, []int{1, 4}},
		{"fd_seek", []uint64{fd, 0, 0, resultAt}, []int{3}},
		{"fd_tell", []uint64{fd, resultAt}, []int{1}},
		{"fd_write", []uint64{fd, iovs, count, resultAt}, []int{1, 3}},
		{"path_create_directory", []uint64{3, path, n}, []int{1}},
		{"path_filestat_get", []uint64{3, 0, path, n, dataAt}, []int{2, 4}},
		{"path_filestat_set_times", []uint64{3, 0, path, n, 0, 0, 0}, []int{2}},
		{"path_link", []uint64{3, 0, path, n, 3, path, n}, []int{2, 5}},
		{"path_open", []uint64{3, 0, path, n, 0, 0, 0, 0, resultAt}, []int{2, 8}},
		{"path_readlink", []uint64{3, link, linkLen, dataAt, 10, resultAt}, []int{1, 3, 5}},
		{"path_remove_directory", []uint64{3, path, n}, []int{1}},
		{"path_rename", []uint64{3, path, n, 3, path, n}, []int{1, 4}},
		{"path_symlink", []uint64{path, n, 3, path, n}, []int{0, 3}},
		{"path_unlink_file", []uint64{3, path, n}, []int{1}},
		{"poll_oneoff", []uint64{dataAt, dataAt + 0x100, 1, resultAt}, []int{0, 1, 3}},
		{"random_get", []uint64{dataAt, 4}, []int{0}},
	} {
		for _, pointer := range c.pointers {
			for _, bad := range []uint64{memSize, memSize - 1, math.MaxUint32, math.MaxInt32, math.MaxUint32 - 3} {
				params := append([]uint64{}, c.params...)
				params[pointer] = bad
				g.expect(ErrnoFault, c.function, params...)
			}
		}
	}
	if got := g.uint32(pathAt); got != le.Uint32([]byte("file")) {
		t.Error("a refused call wrote something")
	}
}

// TestVectors: counts and vectors that a guest made up.
func TestHostileVectors(t *testing.T) {
	g, dir := newDirGuest(t, ModuleName)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	if err := os.WriteFile(filepath.Join(dir, "file"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, _ := g.open(3, "file", 0)
	for _, count := range []uint64{1 << 29, 1<<29 + 1, math.MaxUint32, memSize/iovecSize + 1} {
		for _, function := range []string{"fd_read", "fd_write"} {
			g.expect(ErrnoFault, function, fd, 0x200, count, resultAt)
		}
	}
	for _, v := range [][2]uint32{{memSize - 1, 2}, {math.MaxUint32, 1}, {1, math.MaxUint32}, {memSize + 1, 0}} {
		ptr, n := g.iovecs(0x200, [2]uint32{dataAt, 1}, v)
		g.expect(ErrnoFault, "fd_read", fd, ptr, n, resultAt)
	}
	g.must("fd_read", fd, 0x200, 0, resultAt)
	if g.uint32(resultAt) != 0 {
		t.Error("no vectors, but bytes")
	}

	// Vectors over each other, over their own array and over the result.
	ptr, n := g.iovecs(0x200, [2]uint32{0x200, 64}, [2]uint32{0x200, 64}, [2]uint32{resultAt, 4}, [2]uint32{dataAt, 10})
	g.must("fd_pread", fd, ptr, n, 0, resultAt)
	if got := g.uint32(resultAt); got != 64+64+4+10 {
		t.Errorf("%d bytes, want 142", got)
	}

	// More vectors than one call takes: a part is read.
	const many = 100_000
	for i := range uint32(many) {
		g.memory.WriteUint32Le(dataAt+i*8, 0x80)
		g.memory.WriteUint32Le(dataAt+i*8+4, 1)
	}
	g.must("fd_pread", fd, dataAt, many, 0, resultAt)
	if got := g.uint32(resultAt); got != 1024 {
		t.Errorf("%d bytes of %d vectors", got, many)
	}
	// All of memory, many times over.
	for i := range uint32(1024) {
		g.memory.WriteUint32Le(dataAt+i*8, 0)
		g.memory.WriteUint32Le(dataAt+i*8+4, memSize)
	}
	g.must("fd_pread", fd, dataAt, 1, 0, 0)
}

func TestOffsets(t *testing.T) {
	g, dir := newDirGuest(t, ModuleName)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, _ := g.open(3, "file", 0)
	iovs, n := g.iovecs(0x200, [2]uint32{dataAt, 4})
	for _, offset := range []uint64{1 << 63, 1<<63 + 1, math.MaxUint64, 1<<63 - 2, 1<<63 - 1} {
		if errno := g.do("fd_pwrite", fd, iovs, n, offset, resultAt); errno == ErrnoSuccess {
			t.Errorf("a write at %#x succeeded", offset)
		}
		if errno := g.do("fd_pread", fd, iovs, n, offset, resultAt); errno == ErrnoSuccess && g.uint32(resultAt) != 0 {
			t.Errorf("a read at %#x read something", offset)
		}
		for _, length := range []uint64{1, 1 << 62, math.MaxUint64} {
			if errno := g.do("fd_allocate", fd, offset, length); errno == ErrnoSuccess {
				t.Errorf("%d bytes at %#x were allocated", length, offset)
			}
			g.do("fd_advise", fd, offset, length, 0)
		}
		if errno := g.do("fd_filestat_set_size", fd, offset); errno == ErrnoSuccess {
			t.Errorf("the size is %#x", offset)
		}
		g.do("fd_readdir", 3, dataAt, 1000, offset, resultAt)
		g.do("fd_filestat_set_times", fd, offset, offset, setAtime|setMtime)
	}
	g.expect(ErrnoInval, "fd_seek", fd, 0, 3, resultAt)
	g.expect(ErrnoInval, "fd_seek", fd, uint64(math.MaxUint64), 0, resultAt)
	g.must("fd_seek", fd, 1<<40, 0, resultAt)
	g.expect(ErrnoInval, "fd_advise", fd, 0, 0, 6)
	g.must("fd_seek", fd, 0, 2, resultAt)
	if size := g.uint64(resultAt); size != 4 {
		t.Errorf("the file has %d bytes", size)
	}
}

func TestHostileNames(t *testing.T) {
	g, _ := newDirGuest(t, ModuleName)
	for _, c := range []struct {
		name string
		want Errno
	}{
		{"", ErrnoNoent},
		{"a\x00b", ErrnoInval},
		{"\xff", ErrnoIlseq},
		{"a\xc3", ErrnoIlseq},
		{"\xed\xa0\x80", ErrnoIlseq}, // a surrogate
		{strings.Repeat("n", 256), ErrnoNametoolong},
		{strings.Repeat("n", 4096), ErrnoNametoolong},
		{strings.Repeat("n/", 4096), ErrnoNametoolong},
		{"/x", ErrnoPerm},
		{"../x", ErrnoPerm},
	} {
		path, n := g.put(path2At, c.name)
		g.expect(c.want, "path_open", 3, 0, path, n, openCreate, rightFdWrite, 0, 0, resultAt)
		g.expect(c.want, "path_create_directory", 3, path, n)
		g.expect(c.want, "path_filestat_get", 3, 0, path, n, dataAt)
		g.expect(c.want, "path_symlink", path, n, 3, path, n)
		g.expect(c.want, "path_unlink_file", 3, path, n)
	}
	g.expect(ErrnoNametoolong, "path_open", 3, 0, 0, memSize, 0, 0, 0, 0, resultAt)
	long, n := g.put(path2At, strings.Repeat("ä", 127))
	g.must("path_create_directory", 3, long, n)
	for _, flags := range []uint64{2, 1 << 31} {
		g.expect(ErrnoInval, "path_filestat_get", 3, flags, long, n, dataAt)
		g.expect(ErrnoInval, "path_open", 3, flags, long, n, 0, 0, 0, 0, resultAt)
	}
	g.expect(ErrnoInval, "path_open", 3, 0, long, n, 16, 0, 0, 0, resultAt)
	g.expect(ErrnoInval, "path_open", 3, 0, long, n, 0, 0, 0, 32, resultAt)
	g.expect(ErrnoInval, "path_open", 3, 0, long, n, openCreate|openDirectory, 0, 0, 0, resultAt)
}

// TestDescriptorLimits: the guest's own limit, and the process's.
func TestDescriptorLimits(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	preopens := []wasi.Preopen{{Path: dir, Name: "/", Root: true}}
	fill := func(g *guest) (n int) {
		for ; ; n++ {
			switch _, errno := g.open(3, "file", 0); errno {
			case ErrnoSuccess:
			case ErrnoMfile:
				return n
			default:
				t.Fatalf("errno %d after %d files", errno, n)
			}
		}
	}
	g := newGuest(t, ModuleName, wasi.Config{Stdin: -1, Stdout: -1, Stderr: -1, Preopens: preopens, MaxDescriptors: 50})
	if n := fill(g); n != 46 {
		t.Errorf("%d files fit beside 4 descriptors", n)
	}
	g.must("fd_close", 20)
	if fd, errno := g.open(3, "file", 0); fd != 20 || errno != ErrnoSuccess {
		t.Errorf("descriptor %d, errno %d; want 20", fd, errno)
	}

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	g = newGuest(t, ModuleName, wasi.Config{Stdin: -1, Stdout: -1, Stderr: -1, Preopens: preopens})
	low := limit
	low.Cur = 200
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	n := fill(g)
	if n == 0 || n > 200 {
		t.Errorf("%d files fit into 200 descriptors", n)
	}
	path, size := g.put(pathAt, "a/b")
	if errno := g.do("path_unlink_file", 3, path, size); errno != ErrnoMfile && errno != ErrnoNoent {
		t.Errorf("unlinking with no descriptor left: errno %d", errno)
	}
	for fd := range n {
		g.must("fd_close", uint64(fd+4))
	}
}

// TestEveryKindEverywhere calls every function on every kind of descriptor.
func TestEveryKindEverywhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, w := pipe(t)
	for _, row := range table {
		if row.handle == nil || !strings.HasPrefix(row.params, "i") || row.Name == "proc_raise" {
			continue
		}
		g := newGuest(t, ModuleName, wasi.Config{
			Stdin: -1, Stdout: take(t, dup(t, w)), Stderr: take(t, dup(t, r)),
			Listeners: []wasi.Listener{{Socket: &fakeSocket{pollFD: -1}}},
			Preopens:  []wasi.Preopen{{Path: dir, Name: "/", Root: true}},
		})
		g.open(4, "file", 0)
		path, n := g.put(pathAt, "none")
		for fd := range uint64(8) {
			for _, filler := range []uint64{0, 1, n, path, dataAt, math.MaxUint64} {
				if fd == 2 && strings.Contains(row.Name, "read") && filler != 0 {
					continue // it would wait for the empty pipe
				}
				params := make([]uint64, len(row.params))
				for i := range params {
					params[i] = filler
				}
				params[0] = fd
				if row.Name == "poll_oneoff" {
					g.subscribeClock(uint32(fd), 1, 1, 0, 0)
				}
				g.do(row.Name, params...)
			}
		}
	}
}

func dup(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// TestManyEntries reads a large directory with little memory of the host's.
func TestManyEntries(t *testing.T) {
	entries := 20_000
	if os.Getenv("TEST_FULL") != "" {
		entries = 1_000_000
	}
	dir, err := os.MkdirTemp("/dev/shm", "entries") // in memory, or a million would take minutes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	g := newGuest(t, ModuleName, wasi.Config{Stdin: -1, Stdout: -1, Stderr: -1,
		Preopens: []wasi.Preopen{{Path: dir, Name: "/", Root: true}}})
	for i := range entries {
		if err := unix.Mknod(filepath.Join(dir, fmt.Sprintf("%s-%d", strings.Repeat("x", 100), i)), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if n := g.list(3, 4096); n != entries+2 {
		t.Errorf("%d entries, want %d", n, entries+2)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<10 {
		t.Errorf("the host took %d bytes to list them", grown)
	}
	t.Logf("%d entries: the host took %d bytes", entries, after.TotalAlloc-before.TotalAlloc)
}
