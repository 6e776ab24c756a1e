// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tree collects files of the machine for an image, each once.
type Tree struct {
	Files []File
	have  map[string]bool
}

// NewTree has a /tmp.
func NewTree() *Tree {
	t := &Tree{have: map[string]bool{}}
	t.Add(Dir("tmp", 0o777|os.ModeSticky))
	return t
}

// Add adds an entry and the folders above it.
func (t *Tree) Add(file File) {
	if t.have[file.Path] {
		return
	}
	t.have[file.Path] = true
	if dir := filepath.Dir(file.Path); dir != "." {
		t.Add(Dir(dir, 0o755))
	}
	t.Files = append(t.Files, file)
}

// Copy adds a file of the machine, with its mode.
func (t *Tree) Copy(to, from string) error {
	if t.have[to] {
		return nil // a library of several programs
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(from)
	t.Add(File{Path: to, Body: body, Mode: info.Mode().Perm()})
	return err
}

// Program copies a program to /usr/bin with the libraries that it is linked to.
func (t *Tree) Program(path string) error {
	if err := t.Copy("usr/bin/"+filepath.Base(path), path); err != nil {
		return err
	}
	return t.Libraries(path)
}

// Libraries copies what a program is linked to, to where it is on the machine.
func (t *Tree) Libraries(path string) error {
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", path, err)
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			if err := t.Copy(word[1:], word); err != nil {
				return err
			}
		}
	}
	return nil
}

// Folder copies a folder to where it is on the machine.
func (t *Tree) Folder(path string) error {
	return filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return t.Copy(name[1:], name)
	})
}
