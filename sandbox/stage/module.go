// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
)

// openModule opens the module that p names, with the permissions of the
// container's user. dockerd reads the errors' words: "no such file or
// directory" and "executable file not found" become status 127, "is a
// directory" and "permission denied" 126.
func openModule(p *config.Process) (*os.File, error) {
	name := p.Module.Path
	if strings.Contains(name, "/") {
		f, err := openRegular(name)
		if err != nil {
			return nil, refuse(name, err)
		}
		return f, checkMagic(f, name)
	}
	denied := false
	// The working directory comes last: images name their module in it.
	for _, dir := range append(p.Module.SearchPath[:len(p.Module.SearchPath):len(p.Module.SearchPath)], ".") {
		f, err := openRegular(path.Join(dir, name))
		if err == nil {
			return f, checkMagic(f, name)
		}
		denied = denied || err == unix.EACCES
	}
	if denied {
		return nil, refuse(name, unix.EACCES)
	}
	return nil, control.Errorf(errdefs.ErrNotFound, "module %q: executable file not found in $PATH", name)
}

// openRegular opens what must be a regular file. Nothing else is opened for
// reading: a FIFO would wait and a device might act.
func openRegular(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return os.NewFile(uintptr(fd), name), nil
	case unix.S_IFDIR:
		err = unix.EISDIR
	default:
		err = errNotRegular
	}
	_ = unix.Close(fd)
	return nil, err
}

var errNotRegular = control.Errorf(errdefs.ErrInvalidArgument, "not a regular file")

// refuse says why a module cannot be opened.
func refuse(name string, err error) error {
	switch err {
	case unix.ENOENT, unix.ENOTDIR: // the words for ENOTDIR mean a mount to dockerd
		return control.Errorf(errdefs.ErrNotFound, "module %q: no such file or directory", name)
	case unix.EISDIR:
		return control.Errorf(errdefs.ErrPermissionDenied, "module %q: is a directory", name)
	case unix.EACCES, unix.EPERM:
		return control.Errorf(errdefs.ErrPermissionDenied, "module %q: permission denied to the container's user", name)
	}
	return control.Errorf(errdefs.ErrInvalidArgument, "module %q: %v", name, err)
}

// checkMagic refuses a program for Linux in words of its own; what else is no
// module is found when it is compiled.
func checkMagic(f *os.File, name string) error {
	var magic [4]byte
	n, _ := f.ReadAt(magic[:], 0)
	if s := string(magic[:n]); s != "\x7fELF" && !strings.HasPrefix(s, "#!") {
		return nil
	}
	_ = f.Close()
	return control.Errorf(errdefs.ErrPermissionDenied,
		"%q is a Linux program, this runtime runs WebAssembly modules: permission denied", name)
}
