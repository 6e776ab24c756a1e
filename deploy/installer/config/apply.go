// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"containerd-shim-wazero/deploy/installer/replace"
)

// Apply makes the file what it is to become, at once or not at all.
func (c Change) Apply() error {
	if c.New == nil {
		return c.remove()
	}
	if bytes.HasPrefix(c.New, []byte(madeFolder)) {
		if err := os.Mkdir(filepath.Dir(c.Path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := replace.File(c.Path, c.New, 0o644); err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

func (c Change) remove() error {
	if err := os.Remove(c.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", c, err)
	}
	if bytes.HasPrefix(c.Old, []byte(madeFolder)) {
		// Another's file may have come into it: then it stays.
		_ = os.Remove(filepath.Dir(c.Path))
	}
	return nil
}

// Folder is the one that is made, or removed, with the file, "" if none is.
func (c Change) Folder() string {
	if bytes.HasPrefix(c.New, []byte(madeFolder)) || bytes.HasPrefix(c.Old, []byte(madeFolder)) {
		return filepath.Dir(c.Path)
	}
	return ""
}

// Back is the change that undoes this one.
func (c Change) Back() Change { return Change{Path: c.Path, Old: c.New, New: c.Old} }
