// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/preview1"
	"containerd-shim-wazero/sandbox/wasi/resolve"
)

// rig is a guest of one page of memory that imports every function of the
// extension and does nothing but hand calls on.
type rig struct {
	sys *wasi.System
	mod api.Module
	fn  []api.Function // in the table's order
}

func newRig(t testing.TB) *rig {
	t.Helper()
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { runtime.Close(ctx) })
	resolver := resolve.New(func(path string, _ int) ([]byte, error) {
		if path == "/etc/hosts" {
			return []byte("127.0.0.1 localhost\n::1 six\n192.0.2.1 two\n2001:db8::1 two\n"), nil
		}
		return nil, os.ErrNotExist
	})
	// Nothing real is to be reached by chance.
	connect, err := policy.ParseConnect("127.0.0.1:9,[::1]:9,localhost:9,two:9")
	if err != nil {
		t.Fatal(err)
	}
	network := net.New(policy.New(policy.Grants{ListenAny: true, Connect: connect}, nil), resolver)
	sys, err := wasi.New(wasi.Config{Stdin: -1, Stdout: -1, Stderr: -1, MaxDescriptors: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sys.Close)
	// Two of the names are there for both generations: a guest for each.
	r := &rig{sys: sys}
	guest, err := runtime.CompileModule(ctx, forwarder())
	if err != nil {
		t.Fatal(err)
	}
	if err := preview1.Instantiate(ctx, runtime, sys, guest, Extend(network)); err != nil {
		t.Fatal(err)
	}
	if r.mod, err = runtime.InstantiateModule(ctx, guest, wazero.NewModuleConfig()); err != nil {
		t.Fatal(err)
	}
	for i := range rows() {
		r.fn = append(r.fn, r.mod.ExportedFunction(exportName(i)))
	}
	return r
}

func exportName(i int) string { return string([]byte{'f', byte('a' + i)}) }

// rows are the functions of a guest of the second generation with those of the
// first that have a name of their own.
func rows() (list []int) {
	last := make(map[string]int)
	for i := range table {
		last[table[i].Name] = i
	}
	for i := range table {
		if last[table[i].Name] == i {
			list = append(list, i)
		}
	}
	return list
}

// forwarder assembles the guest.
func forwarder() []byte {
	str := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	section := func(id byte, count int, body []byte) []byte {
		body = append([]byte{byte(count)}, body...)
		size := []byte{byte(len(body)&0x7f | 0x80), byte(len(body) >> 7 & 0x7f)}
		return append(append([]byte{id}, size...), body...)
	}
	var types, imports, funcs, exports, code []byte
	list := rows()
	for n, i := range list {
		types = append(types, 0x60, byte(table[i].params))
		types = append(types, bytes.Repeat([]byte{0x7f}, table[i].params)...)
		types = append(types, 1, 0x7f)
		imports = append(imports, str(preview1.ModuleName)...)
		imports = append(append(imports, str(table[i].Name)...), 0, byte(n))
		funcs = append(funcs, byte(n))
		exports = append(append(exports, str(exportName(n))...), 0, byte(len(list)+n))
		body := []byte{0}
		for p := range table[i].params {
			body = append(body, 0x20, byte(p))
		}
		body = append(body, 0x10, byte(n), 0x0b)
		code = append(append(code, byte(len(body))), body...)
	}
	exports = append(append(exports, str("memory")...), 2, 0)
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	wasm = append(wasm, section(1, len(list), types)...)
	wasm = append(wasm, section(2, len(list), imports)...)
	wasm = append(wasm, section(3, len(list), funcs)...)
	wasm = append(wasm, section(5, 1, []byte{0, 1})...)
	wasm = append(wasm, section(7, len(list)+1, exports)...)
	return append(wasm, section(10, len(list), code)...)
}

// call calls a function by its name.
func (r *rig) call(t testing.TB, name string, args ...uint32) Errno {
	t.Helper()
	for n, i := range rows() {
		if table[i].Name == name {
			return r.callIndex(t, n, args)
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

func (r *rig) callIndex(t testing.TB, n int, args []uint32) Errno {
	t.Helper()
	params := make([]uint64, len(args))
	for i, a := range args {
		params[i] = uint64(a)
	}
	res, err := r.fn[n].Call(context.Background(), params...)
	if err != nil {
		t.Fatalf("%s%v: %v", table[rows()[n]].Name, args, err)
	}
	return Errno(res[0])
}

func (r *rig) put(ptr uint32, b ...byte) { r.mod.Memory().Write(ptr, b) }

func (r *rig) u32(ptr, v uint32) { r.mod.Memory().WriteUint32Le(ptr, v) }

func (r *rig) get32(ptr uint32) uint32 {
	v, _ := r.mod.Memory().ReadUint32Le(ptr)
	return v
}

// open makes a socket that never waits.
func (r *rig) open(t testing.TB, family, kind uint32) uint32 {
	t.Helper()
	if errno := r.call(t, "sock_open", family, kind, 0x100); errno != preview1.ErrnoSuccess {
		t.Fatal(errno)
	}
	fd := r.get32(0x100)
	e, _ := r.sys.Table.Get(int32(fd))
	e.Descriptor.(descriptor.Socket).SetFlags(descriptor.Nonblock)
	return fd
}

const outside = 65536 - 1 // one byte of memory

func TestPointersOutsideOfMemory(t *testing.T) {
	r := newRig(t)
	tcp, udp := r.open(t, familyInet4, typeStream), r.open(t, familyInet4, typeDatagram)
	// A good address at 0x200, and one at 0x210 whose buffer is not all there.
	r.u32(0x200, 0x300)
	r.u32(0x204, 4)
	r.put(0x300, 127, 0, 0, 1)
	r.u32(0x210, outside)
	r.u32(0x214, 4)
	r.u32(0x220, 0)
	r.u32(0x224, 0xffffffff)
	// A good vector at 0x400.
	r.u32(0x400, 0x500)
	r.u32(0x404, 16)
	for _, bad := range []uint32{outside, 0xffffffff, 0x80000000, 65536} {
		for _, tc := range []struct {
			name string
			args []uint32
		}{
			{"sock_open", []uint32{1, 1, bad}},
			{"sock_bind", []uint32{tcp, bad, 0}},
			{"sock_bind", []uint32{tcp, 0x210, 0}},
			{"sock_bind", []uint32{tcp, 0x220, 0}},
			{"sock_connect", []uint32{tcp, bad, 0}},
			{"sock_accept", []uint32{tcp, bad}},
			{"sock_accept_v2", []uint32{tcp, 0, bad}},
			{"sock_recv_from", []uint32{udp, bad, 1, 0x200, 0, 0x600, 0x604, 0x608}},
			{"sock_recv_from", []uint32{udp, 0x400, 0xffffffff, 0x200, 0, 0x600, 0x604, 0x608}},
			{"sock_recv_from", []uint32{udp, 0x400, 1, bad, 0, 0x600, 0x604, 0x608}},
			{"sock_recv_from", []uint32{udp, 0x400, 1, 0x200, 0, bad, 0x604, 0x608}},
			{"sock_recv_from", []uint32{udp, 0x400, 1, 0x200, 0, 0x600, bad, 0x608}},
			{"sock_recv_from", []uint32{udp, 0x400, 1, 0x200, 0, 0x600, 0x604, bad}},
			{"sock_recv_v2", []uint32{udp, bad, 1, 0, 0x600, 0x604}},
			{"sock_send_to", []uint32{udp, bad, 1, 0x200, 9, 0, 0x600}},
			{"sock_send_to", []uint32{udp, 0x400, 1, bad, 9, 0, 0x600}},
			{"sock_send_to", []uint32{udp, 0x400, 1, 0x200, 9, 0, bad}},
			{"sock_send_v2", []uint32{udp, 0x400, 1, 0, bad}},
			{"sock_getsockopt", []uint32{tcp, 0, 0, bad, 4}},
			{"sock_getsockopt", []uint32{tcp, 0, 0, 0x600, bad}},
			{"sock_setsockopt", []uint32{tcp, 0, 0, bad, 4}},
			{"sock_setsockopt", []uint32{tcp, 0, 0, 0x600, 0xffffffff}},
			{"sock_getlocaladdr", []uint32{tcp, bad, 0x600}},
			{"sock_getaddrinfo", []uint32{bad, 9, 0, 0, 0x700, 0x800, 1, 0x900}},
			{"sock_getaddrinfo", []uint32{0x300, 0xffffffff, 0, 0, 0x700, 0x800, 1, 0x900}},
			{"sock_getaddrinfo", []uint32{0x300, 4, bad, 9, 0x700, 0x800, 1, 0x900}},
			{"sock_getaddrinfo", []uint32{0x300, 4, 0, 0, bad, 0x800, 1, 0x900}},
			{"sock_getaddrinfo", []uint32{0x300, 4, 0, 0, 0x700, bad, 1, 0x900}},
			{"sock_getaddrinfo", []uint32{0x300, 4, 0, 0, 0x700, 0x800, 1, bad}},
		} {
			if errno := r.call(t, tc.name, tc.args...); errno != preview1.ErrnoFault {
				t.Errorf("%s(%#x): errno %d, want EFAULT", tc.name, tc.args, errno)
			}
		}
	}
}

func TestDescriptorsOfOtherKinds(t *testing.T) {
	r := newRig(t)
	for n, i := range rows() {
		row := table[i]
		if row.Name == "sock_open" || row.Name == "sock_open_v2" || row.Name == "sock_getaddrinfo" {
			continue
		}
		// Everything else is in order, as far as it goes.
		args := make([]uint32, row.params)
		for j := range args {
			args[j] = uint32(0x1000 + 64*j)
		}
		for fd, want := range map[uint32]Errno{
			99: preview1.ErrnoBadf, 0xffffffff: preview1.ErrnoBadf, 0x80000000: preview1.ErrnoBadf,
			0: preview1.ErrnoNotsock, // standard input
		} {
			args[0] = fd
			errno := r.callIndex(t, n, args)
			if errno != want && !(row.Name == "sock_accept_v2" && errno == preview1.ErrnoInval) {
				t.Errorf("%s(%d): errno %d, want %d", row.Name, fd, errno, want)
			}
		}
	}
}

func TestLimitOfDescriptors(t *testing.T) {
	r := newRig(t)
	for range 1000 {
		if errno := r.call(t, "sock_open", familyInet4, typeStream, 0x100); errno == preview1.ErrnoMfile {
			if r.sys.Table.Len() != 64 {
				t.Errorf("%d open", r.sys.Table.Len())
			}
			return
		} else if errno != preview1.ErrnoSuccess {
			t.Fatal(errno)
		}
	}
	t.Error("a thousand sockets")
}

func TestGivenUpRights(t *testing.T) {
	r := newRig(t)
	fd := r.open(t, familyInet4, typeDatagram)
	e, _ := r.sys.Table.Get(int32(fd))
	e.Dropped = rightRead | rightWrite
	if errno := r.call(t, "sock_recv_v2", fd, 0x400, 0, 0, 0x600, 0x604); errno != preview1.ErrnoNotcapable {
		t.Errorf("receive: %d", errno)
	}
	if errno := r.call(t, "sock_send_v2", fd, 0x400, 0, 0, 0x600); errno != preview1.ErrnoNotcapable {
		t.Errorf("send: %d", errno)
	}
}

// info lays an address info with its socket address and data out at ptr.
func (r *rig) info(ptr, addrlen, room, next uint32) {
	r.put(ptr, make([]byte, 128)...)
	r.u32(ptr+8, addrlen)
	r.u32(ptr+12, ptr+32)
	r.u32(ptr+16, ptr+80)
	r.u32(ptr+20, 30)
	r.u32(ptr+24, next)
	r.u32(ptr+36, room)
	r.u32(ptr+40, ptr+48)
}

func (r *rig) lookup(t testing.TB, node, service string, family, socktype byte, flags uint16, max uint32) Errno {
	t.Helper()
	r.put(0x300, append([]byte(node), 0)...)
	r.put(0x3c0, append([]byte(service), 0)...)
	r.put(0x400, byte(flags), byte(flags>>8), family, socktype, 0)
	r.u32(0x440, 0x1000)
	return r.call(t, "sock_getaddrinfo", 0x300, uint32(len(node)+1), 0x3c0, uint32(len(service)+1), 0x400, 0x440, max, 0x444)
}

func TestGetaddrinfo(t *testing.T) {
	r := newRig(t)
	mem := r.mod.Memory()
	r.info(0x1000, 0, 26, 0x2000)
	r.info(0x2000, 0, 26, 0)
	if errno := r.lookup(t, "two", "http", familyUnspec, typeStream, aiCanonname, 9); errno != preview1.ErrnoSuccess {
		t.Fatal(errno)
	}
	if n := r.get32(0x444); n != 2 {
		t.Fatalf("%d results", n)
	}
	for _, ptr := range []uint32{0x1000, 0x2000} {
		head, _ := mem.Read(ptr, 28)
		data, _ := mem.Read(ptr+48, 26)
		family, _ := mem.ReadByte(ptr + 32)
		want, at := netip.MustParseAddr("192.0.2.1").AsSlice(), 2
		if family == familyInet6 {
			want, at = netip.MustParseAddr("2001:db8::1").AsSlice(), 6
		}
		if head[2] != family || head[3] != typeStream || head[4] != protocolTCP || data[0] != 0 || data[1] != 80 ||
			!bytes.Equal(data[at:at+len(want)], want) {
			t.Errorf("info % x, family %d, data % x", head, family, data)
		}
	}
	if name, _ := mem.Read(0x1000+80, 4); string(name) != "two\x00" || r.get32(0x1000+20) != 3 {
		t.Errorf("canonical name %q of %d", name, r.get32(0x1000+20))
	}
	// The Rust crate's room, which is more than it says; stealthrocket's form.
	r.info(0x1000, 0, 14, 0)
	if errno := r.lookup(t, "six", "1", familyInet6, 0, 0, 1); errno != preview1.ErrnoSuccess {
		t.Error(errno)
	}
	r.info(0x1000, 16, 26, 0)
	if errno := r.lookup(t, "six", "1", familyInet6, 0, 0, 1); errno != preview1.ErrnoSuccess {
		t.Error(errno)
	}
	if data, _ := mem.Read(0x1000+48, 18); !bytes.Equal(data[2:], netip.IPv6Loopback().AsSlice()) {
		t.Errorf("dense data % x", data)
	}
}

func TestGetaddrinfoErrors(t *testing.T) {
	r := newRig(t)
	r.info(0x1000, 0, 26, 0)
	long := string(bytes.Repeat([]byte("x"), 150))
	for _, tc := range []struct {
		node, service    string
		family, socktype byte
		flags            uint16
		max              uint32
		want             Errno
	}{
		{"localhost", "80", 0, 0, 0, 1, 0},
		{"localhost", "80", 0, 0, 0, 0, ErrnoAiMemory},
		{"", "", 0, 0, 0, 1, ErrnoAiNoname},
		{"", "80", 0, 0, aiPassive, 1, 0},
		{"", "80", 0, 0, aiCanonname, 1, ErrnoAiBadflags},
		{"localhost", "80", 0, 0, 0x8000, 1, ErrnoAiBadflags},
		{"localhost", "80", 3, 0, 0, 1, ErrnoAiFamily},
		{"localhost", "80", 0, 3, 0, 1, ErrnoAiSocktype},
		{"localhost", "80", 0, 0, aiNumerichost, 1, ErrnoAiNoname},
		{"127.0.0.1", "80", 0, 0, aiNumerichost, 1, 0},
		{"localhost", "http", 0, 0, aiNumericserv, 1, ErrnoAiNoname},
		{"localhost", "nope", 0, 0, 0, 1, ErrnoAiService},
		{"six", "80", familyInet4, 0, 0, 1, ErrnoAiNodata},
		{"a..b", "80", 0, 0, 0, 1, ErrnoAiNoname},
		{long, "80", 0, 0, 0, 1, ErrnoAiNoname},
		{"localhost", long, 0, 0, 0, 1, ErrnoAiService},
		{"unknown.test", "80", 0, 0, 0, 1, ErrnoAiNoname},
	} {
		if errno := r.lookup(t, tc.node, tc.service, tc.family, tc.socktype, tc.flags, tc.max); errno != tc.want {
			t.Errorf("%+v: errno %d", tc, errno)
		}
	}
	r.info(0x1000, 0, 5, 0)
	if errno := r.lookup(t, "localhost", "80", 0, 0, 0, 1); errno != preview1.ErrnoFault {
		t.Errorf("no room: %d", errno)
	}
	// A list that ends in itself ends with the results.
	r.info(0x1000, 0, 26, 0x1000)
	if errno := r.lookup(t, "two", "80", 0, 0, 0, 0xffffffff); errno != preview1.ErrnoSuccess || r.get32(0x444) != 2 {
		t.Errorf("endless list: %d, %d results", errno, r.get32(0x444))
	}
}

func TestDecodeAddress(t *testing.T) {
	storage := func(family byte, rest ...byte) []byte {
		return append([]byte{family, 0}, append(rest, make([]byte, 126-len(rest))...)...)
	}
	for _, tc := range []struct {
		b    []byte
		port uint64
		want string
		err  Errno
	}{
		{[]byte{1, 2, 3, 4}, 5, "1.2.3.4:5", 0},
		{make([]byte, 16), 5, "[::]:5", 0},
		{storage(familyInet4, 1, 2, 3, 4), 65535, "1.2.3.4:65535", 0},
		{storage(familyInet6, 0xfd), 1, "[fd00::]:1", 0},
		{storage(familyUnix, '/', 'a'), 1, "/a", 0},
		{storage(familyUnix), 1, "", preview1.ErrnoInval},
		{append([]byte{familyUnix, 0}, bytes.Repeat([]byte("x"), 126)...), 1, "", preview1.ErrnoInval},
		{storage(familyUnspec), 1, "invalid AddrPort", 0},
		{storage(9), 1, "", preview1.ErrnoAfnosupport},
		{[]byte{1, 2, 3, 4}, 65536, "", preview1.ErrnoInval},
		{nil, 1, "", preview1.ErrnoInval},
		{make([]byte, 5), 1, "", preview1.ErrnoInval},
		{make([]byte, 127), 1, "", preview1.ErrnoInval},
		{make([]byte, 129), 1, "", preview1.ErrnoInval},
	} {
		addr, errno := decodeAddress(tc.b, tc.port)
		got := addr.Path
		if got == "" && errno == 0 {
			got = addr.AddrPort.String()
		}
		if got != tc.want || errno != tc.err {
			t.Errorf("% x: %q, errno %d", tc.b, got, errno)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, uint64(80))
	f.Add(make([]byte, 128), uint64(80))
	f.Fuzz(func(t *testing.T, b []byte, port uint64) {
		addr, errno := decodeAddress(b, port)
		if errno != 0 || !addr.IsValid() {
			return
		}
		family := net.IPv4
		if addr.Addr().Is6() {
			family = net.IPv6
		}
		for _, size := range []int{len(addr.Addr().AsSlice()), storageSize} {
			buf := make([]byte, size)
			if errno := encodeAddress(buf, family, addr); errno != 0 {
				t.Fatal(errno)
			}
			if back, errno := decodeAddress(buf, port); errno != 0 || back != addr {
				t.Errorf("% x is %v, and came back as %v", b, addr, back)
			}
		}
	})
}

// FuzzCalls calls functions with arbitrary arguments and memory. Sockets never
// wait, and reach nobody.
func FuzzCalls(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 3})
	r := newRig(f)
	f.Fuzz(func(t *testing.T, seed uint64, memory []byte) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		r.put(0, memory[:min(len(memory), 65536)]...)
		for range 64 {
			n := rnd.IntN(len(r.fn))
			args := make([]uint32, table[rows()[n]].params)
			for i := range args {
				switch rnd.IntN(4) {
				case 0:
					args[i] = rnd.Uint32N(8)
				case 1:
					args[i] = rnd.Uint32N(4096)
				case 2:
					args[i] = 65536 - rnd.Uint32N(160)
				default:
					args[i] = rnd.Uint32()
				}
			}
			r.callIndex(t, n, args)
			for fd := range r.sys.Table.Size() {
				if e, ok := r.sys.Table.Get(int32(fd)); ok {
					if s, ok := e.Descriptor.(*net.Socket); ok {
						s.SetFlags(descriptor.Nonblock)
					}
				}
			}
		}
		for fd := 3; fd < r.sys.Table.Size(); fd++ {
			r.sys.Table.Close(int32(fd))
		}
	})
}
