// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package replace replaces files at once: a reader, and one who comes after a crash,
// sees the old or the new.
package replace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File gives a file other contents. One that is there keeps its mode and owner;
// another gets the mode, also one that takes the place of a link, whose own mode
// lets everybody write.
func File(path string, text []byte, mode os.FileMode) error {
	uid, gid := os.Geteuid(), os.Getegid()
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().IsRegular():
		mode = info.Mode().Perm()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(stat.Uid), int(stat.Gid)
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// The name is always the same, so that nothing piles up after crashes, and
	// no pattern of imports matches it.
	next := Next(path)
	if err := write(next, text, mode, uid, gid); err != nil {
		_ = os.Remove(next)
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return sync(filepath.Dir(path))
}

// Next is the name under which the new file is written first.
func Next(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".next")
}

func write(path string, text []byte, mode os.FileMode, uid, gid int) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if uid != os.Geteuid() || gid != os.Getegid() {
		if err := f.Chown(uid, gid); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
