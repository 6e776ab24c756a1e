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

// row is one function with the number of its parameters, all of them 32 bits
// wide.
type row struct {
	preview1.Support
	params int
	handle handler
}

// table lists the functions. Those which the two generations have with different
// parameters are there twice, the first generation first.
var table = [...]row{
	{preview1.Support{Name: "sock_open"}, 3, sockOpen},
	{preview1.Support{Name: "sock_bind"}, 3, sockBind},
	{preview1.Support{Name: "sock_listen"}, 2, sockListen},
	{preview1.Support{Name: "sock_accept"}, 2, sockAcceptV1}, // with three it is WASI's own
	{preview1.Support{Name: "sock_connect"}, 3, sockConnect},
	{preview1.Support{Name: "sock_recv_from", Differs: "7 parameters: the address is as the Rust crate of that generation reads it, with the port"}, 7, sockRecvFromV1},
	{preview1.Support{Name: "sock_recv_from", Differs: "8 parameters: the port is in the guest's byte order, as guests read it"}, 8, sockRecvFrom},
	{preview1.Support{Name: "sock_send_to"}, 7, sockSendTo},
	{preview1.Support{Name: "sock_getsockopt", Differs: "the last parameter may be the length itself; TCP_NODELAY too; no device is ever bound to"}, 5, sockGetsockopt},
	{preview1.Support{Name: "sock_setsockopt", Differs: "TCP_NODELAY too; EACCES for SO_DONTROUTE, EPERM for SO_BINDTODEVICE"}, 5, sockSetsockopt},
	{preview1.Support{Name: "sock_getlocaladdr"}, 4, sockGetlocaladdrV1},
	{preview1.Support{Name: "sock_getlocaladdr"}, 3, sockGetlocaladdr},
	{preview1.Support{Name: "sock_getpeeraddr"}, 4, sockGetpeeraddrV1},
	{preview1.Support{Name: "sock_getpeeraddr"}, 3, sockGetpeeraddr},
	{preview1.Support{Name: "sock_getaddrinfo", Differs: "a type of 0 gives streams only; AI_V4MAPPED, AI_ALL and AI_ADDRCONFIG change nothing"}, 8, sockGetaddrinfo},

	{preview1.Support{Name: "sock_open_v2"}, 3, sockOpen},
	{preview1.Support{Name: "sock_bind_v2"}, 3, sockBind},
	{preview1.Support{Name: "sock_listen_v2"}, 2, sockListen},
	{preview1.Support{Name: "sock_accept_v2"}, 3, sockAcceptV2},
	{preview1.Support{Name: "sock_connect_v2"}, 3, sockConnect},
	{preview1.Support{Name: "sock_recv_v2"}, 6, sockRecvV2},
	{preview1.Support{Name: "sock_recv_from_v2"}, 8, sockRecvFromV2},
	{preview1.Support{Name: "sock_send_v2"}, 5, sockSendV2},
	{preview1.Support{Name: "sock_send_to_v2"}, 7, sockSendTo},
	{preview1.Support{Name: "sock_getlocaladdr_v2"}, 3, sockGetlocaladdr},
	{preview1.Support{Name: "sock_getpeeraddr_v2"}, 3, sockGetpeeraddr},
}

// Supported is the table of functions with how each differs from WasmEdge's.
// Those with two shapes are there twice.
func Supported() []preview1.Support {
	list := make([]preview1.Support, len(table))
	for i := range table {
		list[i] = table[i].Support
	}
	return list
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
			def := imports[row.Name]
			if def == nil || !matches(def, row.params) {
				continue
			}
			functions = append(functions, preview1.Function{
				Name: row.Name, Params: def.ParamTypes(), Results: def.ResultTypes(), Call: x.bind(row.handle),
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
