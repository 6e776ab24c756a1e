// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/module"
	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/preview1"
	"containerd-shim-wazero/sandbox/wasi/resolve"
	"containerd-shim-wazero/sandbox/wasi/wasmedge"
)

// newNetwork makes what the guest reaches of its network namespace. Names are
// looked up by the files of the container, which takes a descriptor of its
// root.
func newNetwork(p *config.Process, guest wazero.CompiledModule, preopens []wasi.Preopen) (*net.Network, error) {
	judge := policy.New(p.Network.Grants, refused)
	if names := importedNames(guest); !opensSockets(names) && !slices.Contains(names, "sock_getaddrinfo") {
		return net.New(judge, nil), nil
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	n := net.New(judge, resolve.New(resolve.InRoot(root)))
	if judge.Unix() {
		n.OpenDir = func(dir string, change bool) (int, net.Errno) {
			return openBeneath(preopens, root, dir, change)
		}
	}
	return n, nil
}

// refused logs, for the operator, what the guest was not allowed to do.
func refused(rule string) { descriptorWrite(config.FDLog, rule+"\n") }

// openBeneath opens a directory by its absolute path as the guest names it: in
// the preopen with the longest name that leads there. A read-only one may not be
// changed.
func openBeneath(preopens []wasi.Preopen, root int, dir string, change bool) (int, net.Errno) {
	best, rest := -1, ""
	for i := range preopens {
		name := path.Clean(preopens[i].Name)
		if r, ok := below(name, dir); ok && (best < 0 || len(name) > len(path.Clean(preopens[best].Name))) {
			best, rest = i, r
		}
	}
	if best < 0 {
		return -1, syscall.ENOENT
	}
	if change && preopens[best].ReadOnly {
		return -1, syscall.EROFS
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	}
	fd, err := unix.Openat2(root, path.Join(preopens[best].Path, rest), &how)
	if errno, ok := err.(syscall.Errno); ok {
		return -1, errno
	}
	return fd, 0
}

// below reports whether a clean absolute path is name or lies below it, and
// what follows.
func below(name, dir string) (rest string, ok bool) {
	dir = path.Clean("/" + dir)
	if name == "/" {
		return dir, true
	}
	rest, ok = strings.CutPrefix(dir, name)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// listen opens the sockets that a guest finds open if it makes none of its own,
// and says so in its environment as systemd does.
func (h *host) listen(c *wasi.Config, guest wazero.CompiledModule, p *config.Process) error {
	if len(p.Network.Preopen) == 0 || opensSockets(importedNames(guest)) {
		return nil
	}
	listeners, err := h.network.Listen(p.Network.Preopen)
	if err != nil {
		return err
	}
	names := make([]string, len(listeners))
	for i, l := range listeners {
		c.Listeners = append(c.Listeners, wasi.Listener{Socket: l.Socket, Name: l.Name})
		names[i] = l.Name
	}
	c.Env = append(slices.Clip(c.Env),
		"LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	return nil
}

// Accepts reports whether a module accepts connections of sockets that it finds
// open, as far as the beginning of its file tells: it has to hold the imports.
func Accepts(head []byte) bool {
	imports, _ := module.Imports(head) // those before the cut
	var names []string
	for _, i := range imports {
		if i.Module == preview1.ModuleName && i.Kind == 0 {
			names = append(names, i.Name)
		}
	}
	return accepts(names)
}

func accepts(names []string) bool {
	return slices.Contains(names, "sock_accept") && !opensSockets(names)
}

func opensSockets(names []string) bool {
	return wasmedge.OpensSockets(func(name string) bool { return slices.Contains(names, name) })
}

func importedNames(guest wazero.CompiledModule) (names []string) {
	for _, f := range guest.ImportedFunctions() {
		if from, name, _ := f.Import(); from == preview1.ModuleName {
			names = append(names, name)
		}
	}
	return names
}
