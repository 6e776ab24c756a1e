// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"

	"containerd-shim-wazero/sandbox/wasi"
)

// newDirGuest starts a guest whose descriptor 3 is a fresh directory.
func newDirGuest(t testing.TB, module string) (*guest, string) {
	t.Helper()
	dir := t.TempDir()
	return newGuest(t, module, wasi.Config{
		Args: []string{"prog", "", "ä"}, Env: []string{"A=1"}, Stdin: -1, Stdout: -1, Stderr: -1,
		Preopens: []wasi.Preopen{{Path: dir, Name: "/", Root: true}},
	}), dir
}

func TestArgs(t *testing.T) {
	g, _ := newDirGuest(t, ModuleName)
	g.must("args_sizes_get", 0x10, 0x14)
	if count, size := g.uint32(0x10), g.uint32(0x14); count != 3 || size != 5+1+3 {
		t.Errorf("%d arguments of %d bytes", count, size)
	}
	g.must("args_get", 0x20, 0x40)
	if got := g.get(0x40, 9); got != "prog\x00\x00ä\x00" {
		t.Errorf("arguments %q", got)
	}
	for i, want := range []uint32{0x40, 0x45, 0x46} {
		if got := g.uint32(0x20 + uint32(i)*4); got != want {
			t.Errorf("argument %d is at %#x, want %#x", i, got, want)
		}
	}
	g.must("environ_get", 0x20, 0x40)
	if got := g.get(0x40, 4); got != "A=1\x00" {
		t.Errorf("environment %q", got)
	}
	g.expect(ErrnoFault, "args_get", memSize-8, 0x40)
	g.expect(ErrnoFault, "args_get", 0x20, memSize-8)
	g.expect(ErrnoFault, "args_sizes_get", memSize-2, 0x40)
}

func TestClocks(t *testing.T) {
	g, _ := newDirGuest(t, ModuleName)
	for id := range uint64(4) {
		g.must("clock_time_get", id, 0, resultAt)
		first := g.uint64(resultAt)
		g.must("clock_time_get", id, 0, resultAt)
		if second := g.uint64(resultAt); first == 0 || second < first {
			t.Errorf("clock %d: %d, then %d", id, first, second)
		}
		g.must("clock_res_get", id, resultAt)
		if g.uint64(resultAt) == 0 {
			t.Errorf("clock %d has no resolution", id)
		}
	}
	g.expect(ErrnoInval, "clock_time_get", 4, 0, resultAt)
	g.expect(ErrnoInval, "clock_res_get", 1<<31, resultAt)
	g.expect(ErrnoFault, "clock_time_get", 0, 0, memSize-7)
}

func TestRandom(t *testing.T) {
	g, _ := newDirGuest(t, ModuleName)
	g.must("random_get", dataAt, 1<<19)
	if strings.Count(g.get(dataAt, 1<<19), "\x00\x00\x00\x00") > 10 {
		t.Error("not all bytes are random")
	}
	g.must("random_get", 0, 0)
	g.expect(ErrnoFault, "random_get", 1, memSize)
}

// TestUnstable checks what wasi_unstable has differently.
func TestUnstable(t *testing.T) {
	g, dir := newDirGuest(t, UnstableModuleName)
	if g.call["sock_accept"] != nil {
		t.Error("wasi_unstable has a sock_accept")
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, errno := g.open(3, "file", 0)
	if errno != ErrnoSuccess {
		t.Fatal(errno)
	}
	const cur, end, set = 0, 1, 2
	for _, c := range []struct{ offset, whence, want uint64 }{{4, set, 4}, {2, cur, 6}, {0, end, 10}} {
		g.must("fd_seek", fd, c.offset, c.whence, resultAt)
		if got := g.uint64(resultAt); got != c.want {
			t.Errorf("seek %d from %d: %d, want %d", c.offset, c.whence, got, c.want)
		}
	}
	g.must("fd_filestat_get", fd, dataAt)
	if kind, nlink, size := g.get(dataAt+16, 1), g.uint32(dataAt+20), g.uint64(dataAt+24); kind != "\x04" || nlink != 1 || size != 10 {
		t.Errorf("kind %q, nlink %d, size %d", kind, nlink, size)
	}
	g.memory.Write(dataAt, make([]byte, subscriptionSizeUnstable))
	g.memory.WriteUint64Le(dataAt, 77)                             // userdata
	g.memory.WriteUint32Le(dataAt+24, 1)                           // monotonic
	g.memory.WriteUint64Le(dataAt+32, uint64(10*time.Millisecond)) // timeout
	start := time.Now()
	g.must("poll_oneoff", dataAt, dataAt+0x100, 1, resultAt)
	if took := time.Since(start); took < 10*time.Millisecond || g.uint32(resultAt) != 1 || g.uint64(dataAt+0x100) != 77 {
		t.Errorf("poll: %v, %d events", took, g.uint32(resultAt))
	}
}

func TestRaise(t *testing.T) {
	const none, abrt, term, chld, stop, winch = 0, 6, 15, 16, 18, 27
	for signal, want := range map[uint64]Errno{none: 0, chld: 0, winch: 0, stop: ErrnoNotsup, 31: ErrnoInval} {
		g, _ := newDirGuest(t, ModuleName)
		g.expect(want, "proc_raise", signal)
	}
	for signal, code := range map[uint64]uint32{abrt: 128 + 6, term: 128 + 15} {
		g, _ := newDirGuest(t, ModuleName)
		_, err := g.call["proc_raise"].Call(context.Background(), signal)
		var exit *sys.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != code {
			t.Errorf("signal %d: %v, want exit code %d", signal, err, code)
		}
	}
}

// TestNoMemory: a guest that exports no memory gets an errno for every pointer.
func TestNoMemory(t *testing.T) {
	system, err := wasi.New(wasi.Config{Stdin: -1, Stdout: -1, Stderr: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	code := guestModule(ModuleName, 1)
	code = []byte(strings.Replace(string(code), "memory\x02", "mEMORY\x02", 1))
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	compiled, err := rt.CompileModule(ctx, code)
	if err != nil {
		t.Fatal(err)
	}
	if err := Instantiate(ctx, rt, system, compiled); err != nil {
		t.Fatal(err)
	}
	m, err := rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table {
		if row.handle == nil || row.Name == "proc_raise" || row.Name == "fd_close" || row.Name == "fd_fdstat_set_rights" {
			continue
		}
		res, err := m.ExportedFunction(row.Name).Call(ctx, make([]uint64, len(row.params))...)
		if err != nil {
			t.Errorf("%s: %v", row.Name, err)
		} else if strings.HasSuffix(row.Name, "_get") && row.Name != "fd_prestat_get" && row.Name != "path_filestat_get" && Errno(res[0]) != ErrnoFault {
			t.Errorf("%s: errno %d, want EFAULT", row.Name, res[0])
		}
	}
}

// TestTable: every function of the definition is there, once and in order.
func TestTable(t *testing.T) {
	if n := len(Supported()); n != 46 {
		t.Errorf("%d functions, the definition has 46", n)
	}
	for i := 1; i < len(table); i++ {
		if table[i-1].Name >= table[i].Name {
			t.Errorf("%s comes before %s", table[i-1].Name, table[i].Name)
		}
	}
}

func TestErrnoOf(t *testing.T) {
	for e, want := range map[syscall.Errno]Errno{
		0: 0, syscall.E2BIG: 1, syscall.EPERM: 63, syscall.ENOENT: 44, syscall.EBADF: 8, syscall.EOPNOTSUPP: 58,
		syscall.EXDEV: 75, syscall.EAGAIN: 6, syscall.EDEADLK: 16, syscall.EMEDIUMTYPE: ErrnoIo, 4000: ErrnoIo,
		syscall.ETXTBSY: 74, syscall.ENAMETOOLONG: 37, syscall.ELOOP: 32,
	} {
		if got := ErrnoOf(e); got != want {
			t.Errorf("%v: %d, want %d", e, got, want)
		}
	}
}

func TestSockets(t *testing.T) {
	listener := &fakeSocket{pollFD: -1}
	dir := t.TempDir()
	g := newGuest(t, ModuleName, wasi.Config{
		Stdin: -1, Stdout: -1, Stderr: -1, Listeners: []wasi.Listener{{Socket: listener, Name: "web"}},
		Preopens: []wasi.Preopen{{Path: dir, Name: "/", Root: true}}, MaxDescriptors: 6,
	})
	g.must("fd_prestat_get", 3, resultAt)
	if tag := g.uint32(resultAt); tag == 0 {
		t.Error("the listener looks like a directory")
	}
	g.expect(ErrnoNotdir, "fd_prestat_dir_name", 3, pathAt, 100)
	g.must("fd_prestat_get", 4, resultAt)
	g.expect(ErrnoBadf, "fd_prestat_get", 5, resultAt)

	const nonblock = 4
	g.must("sock_accept", 3, nonblock, resultAt)
	fd := uint64(g.uint32(resultAt))
	e, _ := g.system.Table.Get(int32(fd))
	s := e.Descriptor.(*fakeSocket)
	g.expect(ErrnoMfile, "sock_accept", 3, 0, resultAt)
	g.expect(ErrnoInval, "sock_accept", 3, 1, resultAt)
	g.must("fd_fdstat_get", fd, dataAt)
	if kind, flags := g.get(dataAt, 1), g.uint32(dataAt+2)&0xffff; kind != "\x06" || flags != nonblock {
		t.Errorf("kind %q, flags %d", kind, flags)
	}

	iovs, n := g.iovecs(0x200, [2]uint32{dataAt, 3}, [2]uint32{dataAt + 3, 100})
	s.truncated = true
	g.must("sock_recv", fd, iovs, n, recvPeek|recvWaitall, resultAt, resultAt+4)
	if got := g.get(dataAt, 8); got != "accepted" || g.uint32(resultAt) != 8 || g.get(resultAt+4, 2) != "\x01\x00" {
		t.Errorf("received %q, %d bytes", got, g.uint32(resultAt))
	}
	if s.recvFlags != 3 {
		t.Errorf("receive flags %d", s.recvFlags)
	}
	g.expect(ErrnoInval, "sock_recv", fd, iovs, n, 4, resultAt, resultAt+4)
	iovs, n = g.iovecs(0x200, [2]uint32{dataAt, 8})
	g.must("sock_send", fd, iovs, n, 0, resultAt)
	if s.sent != "accepted" || g.uint32(resultAt) != 8 {
		t.Errorf("sent %q", s.sent)
	}
	g.expect(ErrnoInval, "sock_send", fd, iovs, n, 1, resultAt)
	for how, want := range map[uint64]Errno{0: ErrnoInval, 1: 0, 2: 0, 3: 0, 4: ErrnoInval} {
		g.expect(want, "sock_shutdown", fd, how)
	}
	for _, other := range []uint64{0, 4} {
		g.expect(ErrnoNotsock, "sock_shutdown", other, 1)
		g.expect(ErrnoNotsock, "sock_accept", other, 0, resultAt)
		g.expect(ErrnoNotsock, "sock_recv", other, iovs, n, 0, resultAt, resultAt+4)
		g.expect(ErrnoNotsock, "sock_send", other, iovs, n, 0, resultAt)
	}
	g.expect(ErrnoBadf, "sock_shutdown", 9, 1)
	s.errno = syscall.ECONNRESET
	g.expect(ErrnoConnreset, "sock_recv", fd, iovs, n, 0, resultAt, resultAt+4)
	g.expect(ErrnoSpipe, "fd_seek", fd, 0, 0, resultAt)
	g.must("fd_close", fd)
	if !s.closed {
		t.Error("the socket was not closed")
	}
}

// TestRights: what is given up stays given up, also below.
func TestRights(t *testing.T) {
	g, dir := newDirGuest(t, ModuleName)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	rightsOf := func(fd uint64) (base, inheriting uint64) {
		g.must("fd_fdstat_get", fd, dataAt)
		return g.uint64(dataAt + 8), g.uint64(dataAt + 16)
	}
	base, inheriting := rightsOf(3)
	g.expect(ErrnoNotcapable, "fd_fdstat_set_rights", 3, base|rightFdRead, inheriting)
	g.must("fd_fdstat_set_rights", 3, base&^rightPathCreateDirectory, inheriting&^rightFdWrite)
	path, n := g.put(path2At, "new")
	g.expect(ErrnoNotcapable, "path_create_directory", 3, path, n)
	g.expect(ErrnoNotcapable, "fd_fdstat_set_rights", 3, base, inheriting)
	if _, errno := g.open(3, "file", 0); errno != ErrnoNotcapable {
		t.Errorf("opening for writing: errno %d", errno)
	}
	file, size := g.put(pathAt, "file")
	g.must("path_open", 3, 0, file, size, 0, rightFdRead, 0, 0, resultAt)
	fd := uint64(g.uint32(resultAt))
	if base, _ := rightsOf(fd); base&rightFdWrite != 0 || base&rightFdRead == 0 {
		t.Errorf("rights of the file: %#x", base)
	}
	g.must("fd_fdstat_set_rights", fd, rightFdTell, 0)
	iovs, count := g.iovecs(0x200, [2]uint32{dataAt, 1})
	g.expect(ErrnoNotcapable, "fd_read", fd, iovs, count, resultAt)
	g.expect(ErrnoNotcapable, "fd_filestat_get", fd, dataAt)
	g.expect(ErrnoNotcapable, "fd_seek", fd, 1, 0, resultAt)
	g.must("fd_tell", fd, resultAt)
	g.must("fd_seek", fd, 0, 1, resultAt) // the same
}

// TestReadOnlyPreopen is a preopen with ":ro", as a guest sees it.
func TestReadOnlyPreopen(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, ModuleName, wasi.Config{
		Stdin: -1, Stdout: -1, Stderr: -1, Preopens: []wasi.Preopen{{Path: dir, Name: "/data", ReadOnly: true}},
	})
	g.must("fd_fdstat_get", 3, dataAt)
	if base, inheriting := g.uint64(dataAt+8), g.uint64(dataAt+16); base&rightPathUnlinkFile != 0 || inheriting&rightFdWrite != 0 {
		t.Errorf("rights %#x, inheriting %#x", base, inheriting)
	}
	if _, errno := g.open(3, "file", 0); errno != ErrnoRofs {
		t.Errorf("opening for writing: errno %d, want EROFS", errno)
	}
	path, n := g.put(pathAt, "file")
	g.expect(ErrnoRofs, "path_unlink_file", 3, path, n)
	g.must("path_open", 3, 0, path, n, 0, rightFdRead, 0, 0, resultAt)
}

func TestReaddirBuffers(t *testing.T) {
	g, dir := newDirGuest(t, ModuleName)
	for i := range 40 {
		name := fmt.Sprintf("%s%d", strings.Repeat("n", i*5), i)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []uint32{direntSize + 255, 300, 1000, 4096, 65536} {
		if n := g.list(3, size); n != 42 {
			t.Errorf("buffer of %d bytes: %d entries, want 42", size, n)
		}
	}
	for size := range uint32(60) {
		g.must("fd_readdir", 3, dataAt, uint64(size), 0, resultAt)
		if used := g.uint32(resultAt); used > size {
			t.Errorf("buffer of %d bytes: %d used", size, used)
		}
	}
}

func TestRenumberStdio(t *testing.T) {
	g, _ := newDirGuest(t, ModuleName)
	fd, errno := g.open(3, "out", openCreate)
	if errno != ErrnoSuccess {
		t.Fatal(errno)
	}
	g.must("fd_renumber", fd, 1)
	g.expect(ErrnoBadf, "fd_renumber", fd, 1)
	g.expect(ErrnoBadf, "fd_renumber", 1, 100)
	iovs, n := g.iovecs(0x200, [2]uint32{dataAt, 5})
	g.put(dataAt, "hello")
	g.must("fd_write", 1, iovs, n, resultAt)
	g.must("fd_seek", 1, 0, 0, resultAt)
	g.must("fd_read", 1, iovs, n, resultAt)
	if g.get(dataAt, 5) != "hello" || g.uint32(resultAt) != 5 {
		t.Error("the file was not moved to 1")
	}
}
