// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pty: its other end is the guest's stdio, ours is copied
// from stdin and to stdout, which a client sets to FIFOs or a log URI.
func (s *IO) openTerminal(ctx context.Context, r Request) error {
	console, guest, err := newPTY()
	if err != nil {
		return err
	}
	s.console = console
	s.guest = [3]*os.File{guest, guest, guest}
	if r.Stdout != "" {
		sink, err := s.openSink(ctx, r)
		if err != nil {
			return err
		}
		s.copy(sink, console)
	} else {
		s.output.Go(func() { _, _ = io.Copy(io.Discard, onlyReader{console}) })
	}
	if r.Stdin == "" {
		return nil
	}
	input, err := openPolled(r.Stdin, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("open stdin: %w", err)
	}
	s.holds = append(s.holds, input)
	if err := s.holdStdin(r.Stdin); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(onlyWriter{console}, onlyReader{input}) }()
	return nil
}

// openSink opens where a terminal's output goes.
func (s *IO) openSink(ctx context.Context, r Request) (*os.File, error) {
	target, err := parseTarget(r.Stdout)
	if err != nil {
		return nil, err
	}
	var sink *os.File
	switch target.kind {
	case logProgram:
		if s.logger, err = startLogger(ctx, target, r.ID, r.Namespace); err != nil {
			return nil, err
		}
		s.logger.stderr.Close()
		sink = s.logger.stdout
	case logFile:
		sink, err = openLogFile(target.path)
	default:
		if isFIFO(target.path) {
			first, err := openRead(ctx, target.path)
			if err != nil {
				return nil, fmt.Errorf("open output: %w", err)
			}
			defer first.Close()
		}
		// Reading and writing at once holds the FIFO open while readers come and go.
		sink, err = openPolled(target.path, os.O_RDWR|os.O_APPEND)
	}
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	s.sinks = append(s.sinks, sink)
	return sink, nil
}

// newPTY returns both ends of a new pty. Ours uses the runtime's poller, so
// that closing it ends a blocked read; the other is opened by descriptor, not
// by a path that might be another pty's by then.
func newPTY() (ours, guest *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a pty: %w", err)
	}
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		flags := unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
		peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, uintptr(flags))
		if errno == 0 {
			return os.NewFile(uintptr(fd), "pty"), os.NewFile(peer, "pty"), nil
		}
		err = errno
	}
	unix.Close(fd)
	return nil, nil, fmt.Errorf("open a pty: %w", err)
}

// setSize sets a pty's size in characters.
func setSize(console *os.File, width, height uint32) error {
	size := unix.Winsize{
		Col: uint16(min(width, math.MaxUint16)),
		Row: uint16(min(height, math.MaxUint16)),
	}
	return control(console, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size) })
}
