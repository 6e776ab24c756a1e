// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package config adds the runtime to containerd's configuration and takes it
// out again, so that the files are afterwards what they were before.
//
// What it adds is one block between two marks: in a drop-in file of its own
// where the configuration imports such and this containerd merges them, else at
// the end of the main file, or of the template that the main file is made from.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"

	"containerd-shim-wazero/deploy/installer/replace"
)

const (
	mainFile = "config.toml"
	dropIn   = "wazero.toml"

	// What k3s and RKE2 make the main file from, by its version: 2, and later.
	templateFile  = "config.toml.tmpl"
	templateFile3 = "config-v3.toml.tmpl"

	handler = "wazero"
)

// Layout says how a node keeps containerd's configuration.
type Layout struct {
	// Dir is the folder of config.toml.
	Dir string
	// Generated says that config.toml is made from a template beside it at each
	// start, as k3s and RKE2 do.
	Generated bool
}

// Change is what one file is to become.
type Change struct {
	Path     string
	Old, New []byte // nil: there is no such file
}

// Installation is the changes that let containerd of a major version run
// the shim of that path. It is none when all is in place.
func (l Layout) Installation(major int, shim string) ([]Change, error) {
	main, err := l.read()
	if err != nil {
		return nil, err
	}
	target, err := l.target(main, major)
	if err != nil {
		return nil, err
	}
	changes, err := l.Removal()
	if err != nil {
		return nil, err
	}
	if main.has(handler) && !hasBlock(main.text) {
		return nil, fmt.Errorf("%s has a handler %q that this installer did not add: remove it: %w",
			main.path, handler, errdefs.ErrAlreadyExists)
	}
	i := slices.IndexFunc(changes, func(c Change) bool { return c.Path == target.path })
	if i < 0 {
		changes = append(changes, Change{Path: target.path})
		i = len(changes) - 1
		if changes[i].Old, err = read(target.path); err != nil {
			return nil, err
		}
		changes[i].New = changes[i].Old
	}
	base := changes[i].New
	if base == nil {
		base = []byte(target.preamble)
	}
	if added := block(main.version, shim); changes[i].New == nil || !bytes.Contains(changes[i].Old, added) {
		changes[i].New = append(slices.Clip(base), added...)
	} else {
		changes[i].New = changes[i].Old // also where others have come behind it
	}
	if !target.template {
		if _, err := parse(target.path, changes[i].New); err != nil {
			return nil, fmt.Errorf("with the handler %q added: %w", handler, err)
		}
	}
	return slices.DeleteFunc(changes, Change.none), nil
}

// Configured answers whether config.toml, or what it imports from the folder,
// has the handler.
func (l Layout) Configured() (bool, error) {
	main, err := l.read()
	if err != nil || main.has(handler) {
		return err == nil, err
	}
	for _, pattern := range main.imports() {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return false, fmt.Errorf("%s: imports %q: %w", main.path, pattern, err)
		}
		for _, path := range files {
			if text, err := os.ReadFile(path); err == nil && filepath.Base(path) == dropIn && hasBlock(text) {
				return true, nil
			}
		}
	}
	return false, nil
}

// Removal is the changes that take the runtime out again.
func (l Layout) Removal() ([]Change, error) {
	paths, err := l.paths(dropIn)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, path := range paths {
		// Also by a link, which was never written through.
		if text, err := os.ReadFile(path); errors.Is(err, fs.ErrNotExist) || err == nil && !hasBlock(text) {
			continue
		}
		old, err := read(path)
		if err != nil {
			return nil, err
		}
		stripped, err := strip(old)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		changes = append(changes, Change{Path: path, Old: old, New: stripped})
	}
	return changes, nil
}

// paths are the files that may have the block, drop-ins by their name.
func (l Layout) paths(dropIn string) ([]string, error) {
	names := []string{mainFile}
	if l.Generated {
		names = []string{templateFile, templateFile3}
	}
	paths, err := filepath.Glob(filepath.Join(l.Dir, "*", dropIn))
	for _, name := range names {
		paths = append(paths, filepath.Join(l.Dir, name))
	}
	return paths, err
}

// Clear removes what a writer that was killed has left beside the files.
func (l Layout) Clear() error {
	dropIns, err := l.paths(filepath.Base(replace.Next(dropIn)))
	for _, path := range dropIns {
		if filepath.Dir(path) == l.Dir {
			path = replace.Next(path)
		}
		if gone := os.Remove(path); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// target is where the block goes, and what a file begins with that is made for it.
type target struct {
	path, preamble string
	template       bool
}

func (l Layout) target(main *current, major int) (target, error) {
	// containerd 1.7 lets an imported file replace the whole of a plugin's section.
	if major >= 2 {
		for _, pattern := range main.imports() {
			path := filepath.Join(filepath.Dir(pattern), dropIn)
			matches, err := filepath.Match(pattern, path)
			if err != nil {
				return target{}, fmt.Errorf("%s: imports %q: %w", main.path, pattern, err)
			}
			if !matches || filepath.Dir(filepath.Dir(path)) != filepath.Clean(l.Dir) {
				continue // not within the folder that is this program's to write
			}
			made := madeFile
			if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) || madeWithFolder(path) {
				made = madeFolder
			}
			return target{path: path, preamble: fmt.Sprintf("%sversion = %d\n", made, main.version)}, nil
		}
	}
	if !l.Generated {
		return target{path: main.path, preamble: fmt.Sprintf("%sversion = %d\n", madeFile, main.version)}, nil
	}
	name := templateFile
	if main.version > 2 {
		name = templateFile3
	}
	return target{path: filepath.Join(l.Dir, name), preamble: madeFile + "{{ template \"base\" . }}\n", template: true}, nil
}

// current is config.toml as containerd reads it.
type current struct {
	path    string
	version int
	text    []byte
	tree    tree
}

type tree struct {
	Version int                       `toml:"version"`
	Imports []string                  `toml:"imports"`
	Plugins map[string]map[string]any `toml:"plugins"`
}

func (l Layout) read() (*current, error) {
	f := &current{path: filepath.Join(l.Dir, mainFile)}
	var err error
	if f.text, err = read(f.path); err != nil {
		return nil, err
	}
	if f.text == nil && l.Generated {
		return nil, fmt.Errorf("%s is missing: has this node's containerd been started: %w", f.path, errdefs.ErrNotFound)
	}
	if f.tree, err = parse(f.path, f.text); err != nil {
		return nil, err
	}
	switch f.version = f.tree.Version; {
	case f.text == nil:
		f.version = 2 // which every containerd reads
	case f.version < 2 || f.version > 4:
		return nil, fmt.Errorf("%s is of version %d, and those known are 2, 3 and 4: see `containerd config migrate`: %w",
			f.path, f.version, errdefs.ErrNotImplemented)
	}
	return f, nil
}

func parse(path string, text []byte) (t tree, err error) {
	if err := toml.Unmarshal(text, &t); err != nil {
		return tree{}, fmt.Errorf("read %s: %w: %w", path, err, errdefs.ErrInvalidArgument)
	}
	return t, nil
}

// imports are the patterns of imported files, absolute.
func (f *current) imports() []string {
	var patterns []string
	for _, pattern := range f.tree.Imports {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(f.path), pattern)
		}
		patterns = append(patterns, filepath.Clean(pattern))
	}
	return patterns
}

// has answers whether the file itself has a handler.
func (f *current) has(name string) bool {
	for _, plugin := range plugins {
		containerd, _ := f.tree.Plugins[plugin]["containerd"].(map[string]any)
		runtimes, _ := containerd["runtimes"].(map[string]any)
		if _, ok := runtimes[name]; ok {
			return true
		}
	}
	return false
}

// read reads a file that may be missing. What another file stands in for by a
// link is not this program's to change.
func read(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file: add the handler by hand (docs/kubernetes.md): %w", path, errdefs.ErrNotImplemented)
	}
	text, err := os.ReadFile(path)
	if text == nil && err == nil {
		text = []byte{}
	}
	return text, err
}

func (c Change) none() bool {
	return (c.Old == nil) == (c.New == nil) && string(c.Old) == string(c.New)
}

// String says it for a log.
func (c Change) String() string {
	switch {
	case c.Old == nil:
		return "make " + c.Path
	case c.New == nil:
		return "remove " + c.Path
	case hasBlock(c.New):
		return "add the handler to " + c.Path
	}
	return "take the handler out of " + c.Path
}
