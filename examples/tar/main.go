// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command tar packs and unpacks archives as `kubectl cp` asks for it. In an image
// it is a module named tar in a folder of the PATH:
//
//	tar cf - FILE...
//	tar xmf - [-C DIRECTORY]
package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tar:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	letters, dir, files := parse(args)
	switch {
	case strings.Contains(letters, "x"):
		return unpack(os.Stdin, dir)
	case strings.Contains(letters, "c") && len(files) > 0:
		return pack(os.Stdout, dir, files)
	}
	return errors.New("usage: tar cf - FILE... | tar xmf - [-C DIRECTORY]")
}

// parse takes the first word of letters, with or without a dash; long options
// ask for what is so anyway.
func parse(args []string) (letters, dir string, files []string) {
	dir = "."
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-C" && i+1 < len(args):
			i++
			dir = args[i]
		case arg == "-" || strings.HasPrefix(arg, "--"):
		case letters == "":
			letters = strings.TrimPrefix(arg, "-")
		default:
			files = append(files, arg)
		}
	}
	return letters, dir, files
}

func pack(to io.Writer, dir string, files []string) error {
	w := tar.NewWriter(to)
	for _, file := range files {
		err := filepath.WalkDir(filepath.Join(dir, file), func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return add(w, name, entry)
		})
		if err != nil {
			return err
		}
	}
	return w.Close()
}

func add(w *tar.Writer, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(name); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name = strings.TrimPrefix(filepath.ToSlash(name), "/")
	if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func unpack(from io.Reader, dir string) error {
	r := tar.NewReader(from)
	for {
		header, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		// Rooted first, so that no ".." leads out of the directory.
		if err := extract(r, header, filepath.Join(dir, path.Clean("/"+header.Name))); err != nil {
			return err
		}
	}
}

func extract(r io.Reader, header *tar.Header, name string) error {
	switch header.Typeflag {
	case tar.TypeDir:
		return os.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return os.Symlink(header.Linkname, name)
	case tar.TypeReg:
	default:
		return fmt.Errorf("%s is of a kind that is not unpacked", header.Name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, header.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
