// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/control"
)

// relabel executes the binary once more, under an AppArmor profile or SELinux
// label: they take effect at an exec by the thread that asked, and a profile
// usually denies mounting, so that they come after it. The control socket goes
// on where it was. The frame's files are the binary and the host's /proc.
func relabel(frame *control.Frame) error {
	var l control.Label
	if err := frame.Decode(&l); err != nil {
		return err
	}
	if len(frame.Files) != 2 {
		return errors.New("a label came without what it takes")
	}
	exe, proc := int(frame.Files[0].Fd()), int(frame.Files[1].Fd())
	if l.AppArmor != "" {
		err := writeAttr(proc, "thread-self/attr/apparmor/exec", "exec "+l.AppArmor)
		if errors.Is(err, unix.ENOENT) { // before Linux 5.8
			err = writeAttr(proc, "thread-self/attr/exec", "exec "+l.AppArmor)
		}
		if err != nil {
			return control.Errorf(errdefs.ErrInvalidArgument, "AppArmor profile %q: %v (is it loaded?)", l.AppArmor, err)
		}
	}
	if l.SELinux != "" {
		if err := writeAttr(proc, "thread-self/attr/exec", l.SELinux); err != nil {
			return control.Errorf(errdefs.ErrInvalidArgument, "SELinux label %q: %v", l.SELinux, err)
		}
	}
	return fmt.Errorf("executing the sandbox under its label: %w", execute(exe))
}

func writeAttr(proc int, name, value string) error {
	fd, err := unix.Openat(proc, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}

// execute replaces the process by the same binary with the same arguments.
func execute(exe int) error {
	argv, err := pointers(os.Args)
	if err != nil {
		return err
	}
	envv, err := pointers(os.Environ())
	if err != nil {
		return err
	}
	var path [1]byte
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(exe), pointer(&path),
		pointer(&argv[0]), pointer(&envv[0]), unix.AT_EMPTY_PATH, 0)
	return errno
}

// pointers is a vector of C strings with a nil at its end.
func pointers(strs []string) ([]*byte, error) {
	v := make([]*byte, len(strs)+1)
	for i, s := range strs {
		b, err := unix.BytePtrFromString(s)
		if err != nil {
			return nil, err
		}
		v[i] = b
	}
	return v, nil
}
