// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/module"
	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/policy"
	"containerd-shim-wazero/sandbox/wasi/poll"
	"containerd-shim-wazero/sandbox/wasi/preview1"
)

// host is what the guest is given: WASI, and what it reaches through it.
type host struct {
	system  *wasi.System
	network *net.Network
	stderr  descriptor.Descriptor // as the guest found it
}

// newHost opens what the process grants and registers the functions that a
// module imports. Guest is a module with the same imports.
func newHost(ctx context.Context, rt wazero.Runtime, guest wazero.CompiledModule, p *config.Process) (*host, error) {
	h := &host{network: net.New(policy.New(p.Network.Grants, refused), nil)}
	c := wasi.Config{
		Args: p.Args, Env: p.Env,
		Stdin: config.FDStdin, Stdout: config.FDStdout, Stderr: config.FDStderr,
	}
	var err error
	if c.Preopens, err = preopens(p); err != nil {
		return nil, err
	}
	if err := h.listen(&c, guest, p); err != nil {
		return nil, err
	}
	if h.system, err = wasi.New(c); err != nil {
		return nil, err
	}
	if e, ok := h.system.Table.Get(2); ok {
		h.stderr = e.Descriptor
	}
	return h, preview1.Instantiate(ctx, rt, h.system, guest)
}

// refused logs, for the operator, what the guest was not allowed to do.
func refused(rule string) { descriptorWrite(config.FDLog, rule+"\n") }

// listen opens the sockets that a guest finds open if it makes none of its own,
// and says so in its environment as systemd does.
func (h *host) listen(c *wasi.Config, guest wazero.CompiledModule, p *config.Process) error {
	if len(p.Network.Preopen) == 0 {
		return nil
	}
	for _, f := range guest.ImportedFunctions() {
		if _, name, _ := f.Import(); name == "sock_open" {
			return nil
		}
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

// preopens are the directories that the guest finds open: those of the
// configuration, else by the rule that config.Process.Preopens has.
func preopens(p *config.Process) ([]wasi.Preopen, error) {
	if p.Preopens != nil {
		list := make([]wasi.Preopen, len(p.Preopens))
		for i, d := range p.Preopens {
			list[i] = wasi.Preopen{Path: d.Path, Name: d.Name, ReadOnly: d.ReadOnly, Root: path.Clean(d.Path) == "/"}
		}
		return list, nil
	}
	if cwd := path.Clean(p.Cwd); cwd != "/" && cwd != "." {
		return topLevel(cwd)
	}
	return []wasi.Preopen{{Path: "/", Name: "/", Root: true}}, nil
}

// topLevel is "." for the working directory and each directory at the root's
// top that the user may open.
func topLevel(cwd string) ([]wasi.Preopen, error) {
	list := []wasi.Preopen{{Path: cwd, Name: "."}}
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, fmt.Errorf("list the root directory: %w", err)
	}
	for _, e := range entries {
		name := "/" + e.Name()
		// Of a link to a directory, as /bin is one, the target.
		if fi, err := os.Stat(name); err != nil || !fi.IsDir() {
			continue
		}
		if unix.Access(name, unix.R_OK) == nil {
			list = append(list, wasi.Preopen{Path: name, Name: name})
		}
	}
	return list, nil
}

// begin is called right before the guest's first instruction.
func (h *host) begin() { h.network.Begin() }

// writeStderr writes to the guest's standard error, if it still has it.
func (h *host) writeStderr(text string) {
	if e, ok := h.system.Table.Get(2); ok && e.Descriptor == h.stderr {
		descriptorWrite(config.FDStderr, text)
	}
}

// descriptorWrite writes by the bare system call: a broken pipe is no signal
// here, and nothing is left to do about an error. A full pipe is waited for as
// the guest itself would.
func descriptorWrite(fd int, text string) {
	for b := []byte(text); len(b) > 0; {
		n, err := unix.Write(fd, b)
		switch err {
		case nil:
			b = b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			if _, errno := poll.One(fd, poll.Out, poll.Forever); errno != 0 {
				return
			}
		default:
			return
		}
	}
}

// imported compiles a module that has a skeleton's imports and nothing else:
// wazero describes all functions of a module at once, and a Go program has
// thousands.
func imported(ctx context.Context, rt wazero.Runtime, skeleton []byte) (wazero.CompiledModule, error) {
	return rt.CompileModule(ctx, module.ImportsOnly(skeleton))
}
