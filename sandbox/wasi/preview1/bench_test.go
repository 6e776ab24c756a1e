// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"containerd-shim-wazero/sandbox/wasi"
)

// hosts are the two that a benchmark compares: this one, and wazero's own.
func hosts(b *testing.B, run func(b *testing.B, g *guest, start func())) {
	b.Run("host=ours", func(b *testing.B) {
		dir := benchDir(b)
		g := newGuest(b, ModuleName, wasi.Config{
			Stdin: -1, Stdout: take(b, null(b)), Stderr: -1, Preopens: []wasi.Preopen{{Path: dir, Name: "/", Root: true}},
		})
		run(b, g, b.ResetTimer)
	})
	b.Run("host=wazero", func(b *testing.B) {
		dir := benchDir(b)
		g := instantiate(b, guestModule(ModuleName, 16), func(rt wazero.Runtime, _ wazero.CompiledModule) error {
			_, err := wasi_snapshot_preview1.Instantiate(context.Background(), rt)
			return err
		}, wazero.NewModuleConfig().WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/")).
			WithStdout(null(b)).WithSysNanosleep().WithSysNanotime().WithSysWalltime())
		run(b, g, b.ResetTimer)
	})
}

// null is where standard output goes: it costs a system call and no more.
func null(b *testing.B) *os.File {
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func benchDir(b *testing.B) string {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 64<<10), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o700); err != nil {
		b.Fatal(err)
	}
	return dir
}

// loop has the guest itself call a function b.N times.
func (g *guest) loop(b *testing.B, start func(), function string, params ...uint64) {
	b.Helper()
	if errno := g.do(function, params...); errno != ErrnoSuccess {
		b.Fatalf("%s%v: errno %d", function, params, errno)
	}
	b.ReportAllocs()
	start()
	copy(g.stack[1:], params)
	g.stack[0] = uint64(b.N)
	if err := g.call["loop:"+function].CallWithStack(context.Background(), g.stack[:]); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkFdPwrite(b *testing.B) {
	for _, size := range []uint32{1, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			hosts(b, func(b *testing.B, g *guest, start func()) {
				fd, _ := g.open(3, "file", 0)
				ptr, n := g.iovecs(0x200, [2]uint32{dataAt, size})
				g.loop(b, start, "fd_pwrite", fd, ptr, n, 0, resultAt)
			})
		})
	}
}

func BenchmarkFdWrite(b *testing.B) {
	for _, size := range []uint32{1, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			hosts(b, func(b *testing.B, g *guest, start func()) {
				ptr, n := g.iovecs(0x200, [2]uint32{dataAt, size})
				g.loop(b, start, "fd_write", 1, ptr, n, resultAt)
			})
		})
	}
}

func BenchmarkFdPread(b *testing.B) {
	for _, size := range []uint32{1, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			hosts(b, func(b *testing.B, g *guest, start func()) {
				fd, _ := g.open(3, "file", 0)
				ptr, n := g.iovecs(0x200, [2]uint32{dataAt, size})
				g.loop(b, start, "fd_pread", fd, ptr, n, 0, resultAt)
			})
		})
	}
}

func BenchmarkFdRead(b *testing.B) {
	hosts(b, func(b *testing.B, g *guest, start func()) {
		fd, _ := g.open(3, "file", 0)
		ptr, n := g.iovecs(0x200, [2]uint32{dataAt, 1})
		g.loop(b, start, "fd_read", fd, ptr, n, resultAt)
	})
}

func BenchmarkClockTimeGet(b *testing.B) {
	for id, name := range []string{"realtime", "monotonic"} {
		b.Run(name, func(b *testing.B) {
			hosts(b, func(b *testing.B, g *guest, start func()) {
				g.loop(b, start, "clock_time_get", uint64(id), 0, resultAt)
			})
		})
	}
}

func BenchmarkPathOpenClose(b *testing.B) {
	hosts(b, func(b *testing.B, g *guest, start func()) {
		ptr, size := g.put(pathAt, "file")
		open := []uint64{3, 0, ptr, size, 0, rightFdRead, 0, 0, resultAt}
		b.ReportAllocs()
		start()
		for b.Loop() {
			g.quick("path_open", open)
			g.stack[0] = uint64(g.memUint32(resultAt))
			g.quick("fd_close", nil)
		}
	})
}

// quick is must without its allocations.
func (g *guest) quick(function string, params []uint64) {
	copy(g.stack[:], params)
	if err := g.call[function].CallWithStack(context.Background(), g.stack[:]); err != nil || g.stack[0] != 0 {
		g.t.Fatalf("%s: errno %d, %v", function, g.stack[0], err)
	}
}

func (g *guest) memUint32(at uint32) uint32 {
	v, _ := g.memory.ReadUint32Le(at)
	return v
}

func BenchmarkFdReaddir(b *testing.B) {
	const entries, buffer = 10000, 4096
	hosts(b, func(b *testing.B, g *guest, start func()) {
		for i := range entries {
			fd, _ := g.open(3, fmt.Sprintf("many/%05d", i), openCreate)
			g.must("fd_close", fd)
		}
		fd, errno := g.opendir(3, "many")
		if errno != ErrnoSuccess {
			b.Fatalf("opening: errno %d", errno)
		}
		b.ReportAllocs()
		start()
		for b.Loop() {
			if n := g.list(fd, buffer); n != entries+2 {
				b.Fatalf("%d entries", n)
			}
		}
	})
}

// list counts the entries of a directory, reading it by a buffer of a size.
func (g *guest) list(fd uint64, size uint32) (entries int) {
	cookie := uint64(0)
	for {
		g.stack = [16]uint64{fd, dataAt, uint64(size), cookie, resultAt}
		g.quick("fd_readdir", nil)
		used := g.memUint32(resultAt)
		buf, _ := g.memory.Read(dataAt, used)
		for len(buf) >= direntSize {
			next, n := le.Uint64(buf), int(le.Uint32(buf[16:]))
			if len(buf) < direntSize+n {
				break
			}
			cookie = next
			entries++
			buf = buf[direntSize+n:]
		}
		if used < size {
			return entries
		}
	}
}

func BenchmarkPollOneoff(b *testing.B) {
	b.Run("clock", func(b *testing.B) {
		hosts(b, func(b *testing.B, g *guest, start func()) {
			g.subscribeClock(dataAt, 1, 1, 1, 0)
			g.loop(b, start, "poll_oneoff", dataAt, dataAt+0x1000, 1, resultAt)
		})
	})
	b.Run("file", func(b *testing.B) {
		hosts(b, func(b *testing.B, g *guest, start func()) {
			fd, _ := g.open(3, "file", 0)
			g.subscribeFD(dataAt, 1, eventFdRead, uint32(fd))
			g.loop(b, start, "poll_oneoff", dataAt, dataAt+0x1000, 1, resultAt)
		})
	})
}

func (g *guest) subscribeClock(at uint32, userdata uint64, id uint32, timeout uint64, flags uint16) {
	g.memory.Write(at, make([]byte, subscriptionSize))
	g.memory.WriteUint64Le(at, userdata)
	g.memory.WriteUint32Le(at+16, id)
	g.memory.WriteUint64Le(at+24, timeout)
	g.memory.WriteUint16Le(at+40, flags)
}

func (g *guest) subscribeFD(at uint32, userdata uint64, kind byte, fd uint32) {
	g.memory.Write(at, make([]byte, subscriptionSize))
	g.memory.WriteUint64Le(at, userdata)
	g.memory.WriteByte(at+8, kind)
	g.memory.WriteUint32Le(at+16, fd)
}

// BenchmarkStart is what a container's start pays for its host: everything
// granted opened, and the host module registered, for a guest that imports all.
func BenchmarkStart(b *testing.B) {
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	compiled, err := rt.CompileModule(ctx, guestModule(ModuleName, 1))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		system, err := wasi.New(wasi.Config{
			Stdin: -1, Stdout: -1, Stderr: -1, Preopens: []wasi.Preopen{{Path: "/", Name: "/", Root: true}},
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := Instantiate(ctx, rt, system, compiled); err != nil {
			b.Fatal(err)
		}
		system.Close()
		rt.Module(ModuleName).Close(ctx)
	}
}
