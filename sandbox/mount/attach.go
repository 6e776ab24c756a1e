// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Attach carries out one mount below r. tree is the prepared one for a plan
// that says so, else -1.
func (r Root) Attach(p *Plan, tree int) error {
	if path.Clean(p.Destination) == "/" {
		return errors.New("mount on /: the root file system is the bundle's root.path")
	}
	if err := r.attach(p, tree); err != nil {
		return fmt.Errorf("mount %s on %s: %w", describe(p), p.Destination, err)
	}
	return nil
}

func describe(p *Plan) string {
	if p.Tree {
		return p.Source
	}
	return p.Type
}

func (r Root) attach(p *Plan, tree int) error {
	if !p.Tree {
		return r.attachFresh(p)
	}
	dir, err := isDir(tree)
	if err != nil {
		return err
	}
	target := -1
	if dir {
		target, err = r.Directory(p.Destination, 0o755)
	} else {
		target, err = r.File(p.Destination)
	}
	if err != nil {
		return fmt.Errorf("making the mount point: %w", err)
	}
	defer unix.Close(target)
	return move(tree, target)
}

// attachFresh attaches a new file system. A tmpfs without a mode of its own has
// the mode of the directory that it covers.
func (r Root) attachFresh(p *Plan) error {
	mode := uint32(0)
	target, err := r.Open(p.Destination, unix.O_DIRECTORY)
	if err == nil {
		var st unix.Stat_t
		if err := unix.Fstat(target, &st); err == nil && p.Type == "tmpfs" && !hasOption(p.Data, "mode") {
			mode = st.Mode & 0o7777
		}
	} else if target, err = r.Directory(p.Destination, 0o755); err != nil {
		return fmt.Errorf("making the mount point: %w", err)
	}
	defer unix.Close(target)
	tree, err := fresh(p, target)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if mode != 0 {
		if err := unix.Fchmodat(tree, ".", mode, 0); err != nil {
			return fmt.Errorf("setting the mode: %w", err)
		}
	}
	return move(tree, target)
}

func hasOption(data, name string) bool {
	for option := range strings.SplitSeq(data, ",") {
		if strings.HasPrefix(option, name+"=") {
			return true
		}
	}
	return false
}

func move(tree, target int) error {
	err := unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != unix.EINVAL {
		return err
	}
	if a, aerr := isDir(tree); aerr == nil {
		if b, berr := isDir(target); berr == nil && a != b {
			// The end is the kernel's word for it elsewhere, which dockerd explains.
			return errors.New("a file on a directory, or a directory on a file: not a directory")
		}
	}
	return err
}

// super are the flags of a file system, as opposed to those of a mount, by the
// name that fsconfig has for them.
var super = []struct {
	flag uintptr
	name string
}{
	{unix.MS_SYNCHRONOUS, "sync"},
	{unix.MS_DIRSYNC, "dirsync"},
	{unix.MS_LAZYTIME, "lazytime"},
}

// fresh makes a new file system and returns its detached mount.
func fresh(p *Plan, target int) (int, error) {
	fs, err := unix.Fsopen(p.Type, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("file system %q: %w", p.Type, err)
	}
	defer unix.Close(fs)
	if err := configure(fs, p); err != nil {
		return -1, because(fs, err)
	}
	a := attr(p.Flags, 0)
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, int(a.Attr_set))
	if err != nil {
		return -1, because(fs, err)
	}
	rest := p.Mount
	rest.Flags, rest.ClearFlags = 0, 0 // fsmount took them
	if err := decorate(fd, &rest); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	if p.CopyUp {
		if err := copyUp(target, fd); err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("filling it with what it covers: %w", err)
		}
	}
	return fd, nil
}

func configure(fs int, p *Plan) error {
	if p.Source != "" {
		if err := unix.FsconfigSetString(fs, "source", p.Source); err != nil {
			return err
		}
	}
	for _, s := range super {
		if p.Flags&s.flag != 0 {
			if err := unix.FsconfigSetFlag(fs, s.name); err != nil {
				return err
			}
		}
	}
	if p.Context != "" {
		if err := unix.FsconfigSetString(fs, "context", p.Context); err != nil {
			return fmt.Errorf("SELinux context %q: %w", p.Context, err)
		}
	}
	for option := range strings.SplitSeq(p.Data, ",") {
		key, value, ok := strings.Cut(option, "=")
		var err error
		switch {
		case option == "":
		case ok:
			err = unix.FsconfigSetString(fs, key, value)
		default:
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err != nil {
			return fmt.Errorf("option %q: %w", option, err)
		}
	}
	return unix.FsconfigCreate(fs)
}

// because adds what the kernel says about err in the file system's own log.
func because(fs int, err error) error {
	buf := make([]byte, 512)
	n, rerr := unix.Read(fs, buf)
	if rerr != nil || n < 3 || buf[1] != ' ' { // "e message"
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.TrimSpace(string(buf[2:n])))
}
