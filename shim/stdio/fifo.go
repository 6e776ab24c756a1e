// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"
)

// readerTimeout is how long a FIFO's first reader is waited for.
const readerTimeout = 10 * time.Second

// openRead opens a FIFO for writing, in blocking mode, once somebody has it open
// for reading. containerd's client opens its end in the background: what a quick
// guest has written is lost if all ends close before the reader comes. Nobody
// within readerTimeout is no error.
func openRead(ctx context.Context, name string) (descriptor, error) {
	fd, err := openFD(name, os.O_WRONLY)
	if errors.Is(err, unix.ENXIO) {
		return awaitReader(ctx, name)
	}
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(int(fd), false); err != nil {
		fd.Close()
		return -1, err
	}
	return fd, nil
}

func awaitReader(ctx context.Context, name string) (descriptor, error) {
	// By its descriptor the FIFO can be opened also after somebody removed it.
	fifo, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fifo)
	name = fmt.Sprintf("/proc/self/fd/%d", fifo)

	type result struct {
		fd  int
		err error
	}
	opened := make(chan result, 1)
	go func() {
		for {
			fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if !errors.Is(err, unix.EINTR) {
				opened <- result{fd, err}
				return
			}
		}
	}()
	timeout := time.NewTimer(readerTimeout)
	defer timeout.Stop()
	var r result
	select {
	case r = <-opened:
		return descriptor(r.fd), r.err
	case <-timeout.C:
		log.L.Warn("nobody reads the container's output yet")
	case <-ctx.Done():
	}
	// A reader of our own ends the wait.
	reader, err := openFD(name, os.O_RDONLY)
	if err != nil {
		return -1, err
	}
	defer reader.Close()
	r = <-opened
	if r.err == nil && ctx.Err() != nil {
		unix.Close(r.fd)
		return -1, fmt.Errorf("wait for a reader: %w", context.Cause(ctx))
	}
	return descriptor(r.fd), r.err
}
