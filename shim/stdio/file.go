// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// kind is what an output's name means.
type kind int

const (
	path kind = iota // a FIFO or a file, by its path
	logFile
	logProgram
)

// target is a parsed output name.
type target struct {
	kind kind
	path string
	// ready says that a log program tells when it is ready (binary-v2).
	ready bool
	// args of a log program.
	args []string
}

// parseTarget reads an output's name as containerd's shims do: a path, or a
// URI of the scheme fifo, file, binary or binary-v2.
func parseTarget(name string) (target, error) {
	if name == "" || filepath.IsAbs(name) {
		return target{path: name}, nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return target{}, fmt.Errorf("read the output's name %q: %w", name, err)
	}
	t := target{path: u.Path}
	switch u.Scheme {
	case "", "fifo":
	case "file":
		t.kind = logFile
	case "binary", "binary-v2":
		t.kind, t.ready = logProgram, u.Scheme == "binary-v2"
		t.args = programArgs(u.Query())
	default:
		return target{}, fmt.Errorf("output %q: the scheme %q is unknown: use a FIFO's path, file://, binary:// or binary-v2://", name, u.Scheme)
	}
	if !filepath.IsAbs(t.path) {
		return target{}, fmt.Errorf("output %q: the path is not absolute", name)
	}
	return t, nil
}

// openLogFile opens a file:// log for appending, with its folders.
func openLogFile(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fmt.Errorf("open the log file: %w", err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log file: %w", err)
	}
	return f, nil
}

// openPolled opens without waiting for a FIFO's other end, for the runtime's poller.
func openPolled(name string, flag int) (*os.File, error) {
	return os.OpenFile(name, flag|unix.O_NONBLOCK, 0)
}

// openGuest opens, without waiting for a FIFO's other end, what a guest reads
// or writes in blocking mode.
func openGuest(name string, flag int) (*os.File, error) {
	fd, err := openFD(name, flag)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(int(fd), false); err != nil {
		fd.Close()
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// descriptor is one that is only held open. It keeps out of the runtime's
// poller, which a guest's every write would wake.
type descriptor int

func openFD(name string, flag int) (descriptor, error) {
	fd, err := unix.Open(name, flag|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return descriptor(fd), nil
}

func (d descriptor) Close() error { return unix.Close(int(d)) }

func isFIFO(name string) bool {
	var st unix.Stat_t
	return unix.Stat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// blocking makes f, which is the guest's alone, what a guest expects.
func blocking(f *os.File) error {
	return control(f, func(fd int) error { return unix.SetNonblock(fd, false) })
}

// pipe makes a pipe whose reading end is ours and whose writing end, in
// blocking mode, is the guest's.
func pipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("make a pipe: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}

// control runs do with the descriptor of f without taking it from the poller,
// as Fd would.
func control(f *os.File, do func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var derr error
	if err := c.Control(func(fd uintptr) { derr = do(int(fd)) }); err != nil {
		return err
	}
	return derr
}

// isHangup reports the EIO that reading a pty gives once its other end is closed.
func isHangup(err error) bool { return errors.Is(err, unix.EIO) }
