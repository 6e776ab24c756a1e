// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// host is what the guest is given: WASI and what it reaches through it.
type host struct{ process *config.Process }

// newHost registers the functions that modules import.
func newHost(ctx context.Context, rt wazero.Runtime, p *config.Process) (*host, error) {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, rt); err != nil {
		return nil, err
	}
	return &host{p}, nil
}

func (h *host) moduleConfig(c wazero.ModuleConfig) wazero.ModuleConfig {
	fs := wazero.NewFSConfig()
	for _, p := range h.process.Preopens {
		if p.ReadOnly {
			fs = fs.WithReadOnlyDirMount(p.Path, p.Name)
		} else {
			fs = fs.WithDirMount(p.Path, p.Name)
		}
	}
	c = c.WithFSConfig(fs).WithArgs(h.process.Args...).
		WithStdin(descriptor(config.FDStdin)).
		WithStdout(descriptor(config.FDStdout)).
		WithStderr(descriptor(config.FDStderr)).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep()
	for _, e := range h.process.Env {
		for i := range e {
			if e[i] == '=' {
				c = c.WithEnv(e[:i], e[i+1:])
				break
			}
		}
	}
	return c
}

func (h *host) close() {}

// descriptor reads and writes a file descriptor by the bare system calls: no
// signal on a broken pipe, no runtime poller.
type descriptor int

func (d descriptor) Write(p []byte) (done int, err error) {
	for done < len(p) {
		n, err := unix.Write(int(d), p[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (d descriptor) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(d), p)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 && len(p) > 0 {
			return 0, io.EOF
		}
		return max(n, 0), err
	}
}
