// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package wasmedge is the socket extension to WASI 0.1 that WasmEdge brought
// up, and which Rust's wasmedge_wasi_socket, tokio_wasi and hyper_wasi and Go's
// stealthrocket/net import from wasi_snapshot_preview1.
//
// There are two generations of it, and programs mix them. In the first an
// address is a buffer of 4 or 16 bytes; in the second one of 128 whose first two
// say the family. Functions whose parameters differ are told apart by the type
// under which a guest imports them, buffers by their length. WasmEdge also
// exports the second generation under names that end in _v2.
//
// What the guests of either generation rely on stands at each function; where
// guests and WasmEdge disagree, guests win. The definition, such as it is, is
// WasmEdge's source: lib/host/wasi/wasifunc.cpp and thirdparty/wasi/api.hpp of
// https://github.com/WasmEdge/WasmEdge.
package wasmedge

import (
	"context"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

// Errno is an errno of WASI 0.1, or one of the following.
type Errno = preview1.Errno

// The errors of name look-up, which WasmEdge numbers after those of WASI.
const (
	ErrnoAiAgain    Errno = 78 // no server answers
	ErrnoAiBadflags Errno = 79
	ErrnoAiFail     Errno = 80 // a server refuses
	ErrnoAiFamily   Errno = 81
	ErrnoAiMemory   Errno = 82 // no room for a result
	ErrnoAiNodata   Errno = 83 // the host has no such address
	ErrnoAiNoname   Errno = 84 // no such host
	ErrnoAiService  Errno = 85
	ErrnoAiSocktype Errno = 86
)

// handler is one function: its parameters are in order, each in the low bits of
// its element.
type handler func(x *extension, p []uint64) Errno

// table lists the functions with the number of their parameters, all of them 32
// bits wide. Those which the two generations have with different parameters are
// there twice.
var table = []struct {
	name   string
	params int
	handle handler
}{
	{"sock_open", 3, sockOpen},
	{"sock_bind", 3, sockBind},
	{"sock_listen", 2, sockListen},
	{"sock_accept", 2, sockAcceptV1}, // with three it is WASI's own
	{"sock_connect", 3, sockConnect},
	{"sock_recv_from", 7, sockRecvFromV1},
	{"sock_recv_from", 8, sockRecvFrom},
	{"sock_send_to", 7, sockSendTo},
	{"sock_getsockopt", 5, sockGetsockopt},
	{"sock_setsockopt", 5, sockSetsockopt},
	{"sock_getlocaladdr", 4, sockGetlocaladdrV1},
	{"sock_getlocaladdr", 3, sockGetlocaladdr},
	{"sock_getpeeraddr", 4, sockGetpeeraddrV1},
	{"sock_getpeeraddr", 3, sockGetpeeraddr},
	{"sock_getaddrinfo", 8, sockGetaddrinfo},

	{"sock_open_v2", 3, sockOpen},
	{"sock_bind_v2", 3, sockBind},
	{"sock_listen_v2", 2, sockListen},
	{"sock_accept_v2", 3, sockAcceptV2},
	{"sock_connect_v2", 3, sockConnect},
	{"sock_recv_v2", 6, sockRecvV2},
	{"sock_recv_from_v2", 8, sockRecvFromV2},
	{"sock_send_v2", 5, sockSendV2},
	{"sock_send_to_v2", 7, sockSendTo},
	{"sock_getlocaladdr_v2", 3, sockGetlocaladdr},
	{"sock_getpeeraddr_v2", 3, sockGetpeeraddr},
}

// extension serves the calls of one guest.
type extension struct {
	*preview1.Front
	net *net.Network
}

// Extend gives a guest the functions of the extension that it imports, on a
// network.
func Extend(network *net.Network) preview1.Extension {
	return func(f *preview1.Front, imports map[string]api.FunctionDefinition) []preview1.Function {
		x := &extension{Front: f, net: network}
		var functions []preview1.Function
		for i := range table {
			row := &table[i]
			def := imports[row.name]
			if def == nil || !matches(def, row.params) {
				continue
			}
			functions = append(functions, preview1.Function{
				Name: row.name, Params: def.ParamTypes(), Results: def.ResultTypes(), Call: x.bind(row.handle),
			})
		}
		return functions
	}
}

// matches reports whether a function is imported with so many 32-bit parameters
// and an errno as its result.
func matches(def api.FunctionDefinition, params int) bool {
	if len(def.ParamTypes()) != params || len(def.ResultTypes()) != 1 || def.ResultTypes()[0] != api.ValueTypeI32 {
		return false
	}
	for _, t := range def.ParamTypes() {
		if t != api.ValueTypeI32 {
			return false
		}
	}
	return true
}

func (x *extension) bind(h handler) api.GoModuleFunc {
	return func(_ context.Context, mod api.Module, stack []uint64) {
		x.Attach(mod)
		stack[0] = uint64(h(x, stack))
	}
}

// OpensSockets reports whether a guest with these imports of
// wasi_snapshot_preview1 makes its own sockets: then it binds its ports itself,
// and none are opened for it beforehand.
func OpensSockets(imported func(name string) bool) bool {
	return imported("sock_open") || imported("sock_open_v2")
}

// The rights of WASI that a guest can give up and that the extension's functions
// need, too.
const (
	rightRead  = 1 << 1
	rightWrite = 1 << 6
)

// socket finds a socket.
func (x *extension) socket(fd uint64, need uint64) (*net.Socket, Errno) {
	e, ok := x.System().Table.Get(int32(fd))
	if !ok {
		return nil, preview1.ErrnoBadf
	}
	s, ok := e.Descriptor.(*net.Socket)
	if !ok {
		return nil, preview1.ErrnoNotsock
	}
	if e.Dropped&need != 0 {
		return nil, preview1.ErrnoNotcapable
	}
	return s, preview1.ErrnoSuccess
}

// cString cuts a string at its first NUL, which guests may or may not append.
func cString(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
