// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package log sends the shim's log lines to containerd, through the FIFO named
// `log` in a bundle. A write never blocks: a line that finds the FIFO full is
// lost. The FIFO is opened for reading too, so that lines written while
// containerd restarts wait for it, and no write ends in EPIPE.
package log

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	clog "github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// fifo is what containerd reads in a bundle.
const fifo = "log"

// Output is where lines go: the newest bundle's FIFO, since containerd stops
// reading that of a container which is gone. It is an io.Writer for whole lines.
type Output struct {
	mu      sync.Mutex
	bundles []pipe // guarded by mu
}

type pipe struct {
	bundle string
	fd     int
}

// Add makes the bundle's FIFO the current one. A bundle without a FIFO is an error.
func (o *Output) Add(bundle string) error {
	path := filepath.Join(bundle, fifo)
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return fmt.Errorf("open %s: not a FIFO", path)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remove(bundle)
	o.bundles = append(o.bundles, pipe{bundle, fd})
	return nil
}

// Remove closes the bundle's FIFO.
func (o *Output) Remove(bundle string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remove(bundle)
}

// remove is Remove with o.mu held.
func (o *Output) remove(bundle string) {
	o.bundles = slices.DeleteFunc(o.bundles, func(p pipe) bool {
		if p.bundle != bundle {
			return false
		}
		unix.Close(p.fd)
		return true
	})
}

// Write sends one line. It never fails: there is nobody to tell.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.bundles); n > 0 {
		// A line within PIPE_BUF goes whole or not at all.
		_, _ = unix.Write(o.bundles[n-1].fd, line[:min(len(line), 4096)])
	}
	return len(line), nil
}

// Redirect makes fd another name of the current FIFO, for what the Go runtime
// itself says before it dies.
func (o *Output) Redirect(fd int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.bundles)
	if n == 0 {
		return nil
	}
	return unix.Dup3(o.bundles[n-1].fd, fd, 0)
}

// Setup sends what is logged by containerd/log to o.
func Setup(o *Output, debug bool) error {
	clog.L.Logger.SetOutput(o)
	if debug {
		clog.L.Logger.SetLevel(logrus.DebugLevel)
	}
	return clog.SetFormat(clog.TextFormat)
}
