// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/oci"
)

// IsProgram reports whether a container's entrypoint is a program for Linux: an
// ELF file, or a script. root is the container's root file system, mounted on
// the host. Whatever else it is, and also what is not there, is not one.
func IsProgram(spec *specs.Spec, root string) bool {
	if spec.Process == nil || len(spec.Process.Args) == 0 {
		return false
	}
	magic := string(Head(spec, root, spec.Process.Args[0], 4))
	return magic == "\x7fELF" || strings.HasPrefix(magic, "#!")
}

// Head reads the first bytes of a program that the container's process would find
// by this name, size at most; none if it is not there.
//
// Nothing of the image is followed out of its root, and nothing but the
// beginning of regular files is read.
func Head(spec *specs.Spec, root, name string, size int) []byte {
	for _, file := range oci.Programs(spec.Process, name) {
		if head, ok := firstBytes(spec.Mounts, root, file, size); ok {
			return head
		}
	}
	return nil
}

// place is where on the host a path of the container lies: in the source of the
// last bind mount that covers it, else in its root. The path is split at the
// folder, or file, that it is looked up in.
func place(mounts []specs.Mount, root, name string) (dir, rest string) {
	dir, rest = root, name
	covered := ""
	for _, m := range mounts {
		target := path.Clean("/" + m.Destination)
		below, is := strings.CutPrefix(name, target)
		if !is || (below != "" && below[0] != '/') || !strings.HasPrefix(target, covered) || !isBind(m) {
			continue
		}
		dir, rest, covered = m.Source, below, target
	}
	return dir, rest
}

func isBind(m specs.Mount) bool {
	for _, option := range m.Options {
		if option == "bind" || option == "rbind" {
			return path.IsAbs(m.Source)
		}
	}
	return false
}

// firstBytes reads the first bytes of a regular file of the container. ok is
// false where there is no such file.
func firstBytes(mounts []specs.Mount, root, name string, size int) (head []byte, ok bool) {
	fd, err := find(mounts, root, name)
	if err != nil {
		return nil, false
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, false // a FIFO would wait, a device might act
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	head = make([]byte, size)
	n, _ := f.ReadAt(head, 0)
	return head[:n], true
}

// maxLinks is how many symbolic links of a path the kernel follows (MAXSYMLINKS).
const maxLinks = 40

// find opens a path of the container without reading it. It follows links name
// by name, as one in the root may lead into a mount and back.
func find(mounts []specs.Mount, root, name string) (fd int, err error) {
	at, rest := "/", name
	for links := 0; ; {
		first, after, more := strings.Cut(rest, "/")
		next := path.Join(at, first) // "..", too: at has no links
		dir, below := place(mounts, root, next)
		fd, err = open(dir, below)
		if err != nil {
			return -1, err
		}
		target, isLink := readLink(fd)
		switch {
		case !isLink && !more:
			return fd, nil
		case !isLink:
			at, rest = next, after
		case links == maxLinks:
			_ = unix.Close(fd)
			return -1, unix.ELOOP
		default:
			links++
			if path.IsAbs(target) {
				at = "/"
			}
			rest = target + "/" + after
		}
		_ = unix.Close(fd)
	}
}

// open opens a path below dir that has no links, but for its last name, or dir
// itself for "".
func open(dir, name string) (fd int, err error) {
	top, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil || name == "" {
		return top, err
	}
	defer func() { _ = unix.Close(top) }()
	return unix.Openat2(top, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	})
}

func readLink(fd int) (target string, is bool) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", buf[:])
	if err != nil {
		return "", false
	}
	return string(buf[:n]), true
}
