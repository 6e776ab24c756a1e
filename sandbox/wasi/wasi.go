// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package wasi is the capability core of a sandbox: everything that a guest can
// reach, opened before the process gives up its own means, and nothing else.
// The fronts, one package per version of WASI, translate calls of the guest
// into operations on it; it knows neither them nor the engine that runs them.
package wasi

import (
	"fmt"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/fs"
	"containerd-shim-wazero/sandbox/wasi/poll"
	"containerd-shim-wazero/sandbox/wasi/stdio"
)

// Config is what a guest is granted.
type Config struct {
	// Args is the argv; Env the environment, "KEY=value", as it is.
	Args, Env []string
	// Stdin, Stdout and Stderr are descriptors of the process, negative for none.
	// The system owns them, except 0 to 2, which the Go runtime writes to.
	Stdin, Stdout, Stderr int
	// Listeners take the numbers from 3 on.
	Listeners []Listener
	// Preopens follow.
	Preopens []Preopen
	// MaxDescriptors is how many descriptors the guest may hold; 0 for as many
	// as the process may, less a few.
	MaxDescriptors int
}

// Listener is a socket that the guest finds open.
type Listener struct {
	Socket descriptor.Socket
	Name   string // as in LISTEN_FDNAMES, for messages
}

// Preopen is a directory that the guest finds open.
type Preopen struct {
	Path     string // what the process opens
	Name     string // what the guest sees
	ReadOnly bool
	// Root says that the directory is the root of the container: absolute links
	// begin at it.
	Root bool
}

// System is what one guest holds. It serves one thread of one guest.
type System struct {
	Args, Env []string
	Table     *descriptor.Table
	Files     *fs.Files
	Poller    poll.Poller
}

// reserve is how many descriptors of the process stay out of the guest's reach:
// stdio, what a path lookup opens for a moment, and what the Go runtime needs.
const reserve = 16

// New opens everything that the configuration grants. On an error nothing stays
// open, except the descriptors that the configuration brought.
func New(cfg Config) (*System, error) {
	limit := cfg.MaxDescriptors
	if limit <= 0 {
		var r unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
			return nil, fmt.Errorf("asking for the limit on open files: %w", err)
		}
		limit = int(min(r.Cur, descriptor.MaxLimit)) - reserve
	}
	limit = max(limit, 3+len(cfg.Listeners)+len(cfg.Preopens))
	s := &System{Args: cfg.Args, Env: cfg.Env, Table: descriptor.NewTable(limit), Files: new(fs.Files)}
	dirs, err := s.openDirectories(cfg.Preopens)
	if err != nil {
		return nil, err
	}
	if err := s.insertStdio(cfg); err != nil {
		for _, d := range dirs {
			d.Close()
		}
		return nil, err
	}
	for _, l := range cfg.Listeners {
		s.insert(descriptor.Entry{Descriptor: l.Socket, Name: l.Name, Preopen: true})
	}
	for i, d := range dirs {
		s.insert(descriptor.Entry{Descriptor: d, Name: cfg.Preopens[i].Name, Preopen: true})
	}
	return s, nil
}

func (s *System) openDirectories(preopens []Preopen) ([]*fs.File, error) {
	dirs := make([]*fs.File, 0, len(preopens))
	for _, p := range preopens {
		d, errno := s.Files.Preopen(p.Path, p.ReadOnly, p.Root)
		if errno != 0 {
			for _, d := range dirs {
				d.Close()
			}
			return nil, fmt.Errorf("opening directory %q for the guest: %w", p.Path, errno)
		}
		dirs = append(dirs, d)
	}
	return dirs, nil
}

func (s *System) insertStdio(cfg Config) error {
	var streams [3]descriptor.Descriptor
	for i, fd := range [3]int{cfg.Stdin, cfg.Stdout, cfg.Stderr} {
		d, errno := stdio.New(fd)
		if errno != 0 {
			return fmt.Errorf("taking descriptor %d as the guest's %d: %w", fd, i, errno)
		}
		streams[i] = d
	}
	for _, d := range streams {
		s.insert(descriptor.Entry{Descriptor: d})
	}
	return nil
}

// insert cannot fail: the limit leaves room for what the configuration grants.
func (s *System) insert(e descriptor.Entry) { s.Table.InsertEntry(e) }

// Close closes everything the guest holds.
func (s *System) Close() { s.Table.CloseAll() }
