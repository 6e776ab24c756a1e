// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"os"
	"path"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/module"
	"containerd-shim-wazero/sandbox/wasi"
	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/net"
	"containerd-shim-wazero/sandbox/wasi/poll"
	"containerd-shim-wazero/sandbox/wasi/preview1"
	"containerd-shim-wazero/sandbox/wasi/wasmedge"
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
	c := wasi.Config{
		Args: p.Args, Env: p.Env,
		Stdin: config.FDStdin, Stdout: config.FDStdout, Stderr: config.FDStderr,
	}
	var err error
	if c.Preopens, err = preopens(p); err != nil {
		return nil, err
	}
	h := &host{}
	if h.network, err = newNetwork(p, guest, c.Preopens); err != nil {
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
	return h, preview1.Instantiate(ctx, rt, h.system, guest, wasmedge.Extend(h.network))
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
