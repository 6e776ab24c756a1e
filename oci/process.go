// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/config"
)

// Limits of execve(2), by which a Linux container would be held too.
const (
	maxString  = 128 << 10 // MAX_ARG_STRLEN, with the final NUL
	maxStrings = 2 << 20   // a quarter of the usual stack
)

// arguments checks argv; it is given to the guest as it is.
func arguments(args []string) ([]string, error) {
	if len(args) == 0 || args[0] == "" {
		return nil, errors.New("process.args is empty: name the module to run")
	}
	for i, arg := range args {
		if err := checkText(fmt.Sprintf("process.args[%d]", i), arg); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// stripInit takes off the wrapping that `docker run --init` and nerdctl put
// around the arguments: a Linux program that reaps, which a module has no use
// for. It returns also where that program is mounted, "" without wrapping.
func stripInit(args []string, mounts []specs.Mount) (rest []string, program string) {
	if len(args) < 3 || args[1] != "--" || (args[0] != "/sbin/docker-init" && args[0] != "/sbin/tini") {
		return args, ""
	}
	// An image may have a module of that name: then nothing is mounted there.
	if !slices.ContainsFunc(mounts, func(m specs.Mount) bool { return m.Destination == args[0] }) {
		return args, ""
	}
	return args[2:], args[0]
}

// environment gives the guest the bundle's variables and nothing else, but for
// PWD, which Go programs read to learn where they are; at / they know. Of a name
// that comes twice the last stands, as with runc.
func environment(env []string, cwd string) ([]string, error) {
	out := make([]string, 0, len(env)+1)
	index := make(map[string]int, len(env)+1)
	for i, v := range env {
		if err := checkText(fmt.Sprintf("process.env[%d]", i), v); err != nil {
			return nil, err
		}
		name, _, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("process.env[%d] %.80q is not NAME=value", i, v)
		}
		if j, ok := index[name]; ok {
			out[j] = v
			continue
		}
		index[name] = len(out)
		out = append(out, v)
	}
	if _, ok := index["PWD"]; !ok && cwd != "/" {
		out = append(out, "PWD="+cwd)
	}
	return out, nil
}

// checkSize refuses what execve(2) would refuse of a Linux program.
func checkSize(lists ...[]string) error {
	total := 0
	for _, list := range lists {
		for _, s := range list {
			if len(s) >= maxString {
				return fmt.Errorf("argument list too long: one argument or variable has %d bytes, %d are allowed", len(s), maxString-1)
			}
			total += len(s) + 1 + 8 // the string, its NUL, its pointer
		}
	}
	if total > maxStrings {
		return fmt.Errorf("argument list too long: arguments and environment take %d bytes, %d are allowed", total, maxStrings)
	}
	return nil
}

// workingDirectory checks where relative paths begin.
func workingDirectory(cwd string) (string, error) {
	if cwd == "" {
		return "/", nil
	}
	if !path.IsAbs(cwd) {
		return "", fmt.Errorf("process.cwd %.80q is not an absolute path", cwd)
	}
	return path.Clean(cwd), checkText("process.cwd", cwd)
}

// module says what to run: `path`, `path#export`, or a bare name that is
// looked up in the container's PATH. An artifact's module is run whatever the
// path says.
func module(p *config.Process, blob string, maxSize int64) (config.Module, error) {
	m := config.Module{Blob: blob, MaxSize: maxSize}
	var named bool
	m.Path, m.Export, named = strings.Cut(p.Args[0], "#")
	if named && m.Export == "" {
		return m, fmt.Errorf("%.80q names no export after #", p.Args[0])
	}
	switch {
	case blob != "":
		m.Path = ""
	case m.Path == "":
		return m, fmt.Errorf("%.80q names no module before #", p.Args[0])
	case !strings.Contains(m.Path, "/"):
		m.SearchPath = searchPath(p.Env)
	}
	return m, nil
}

// Programs are the absolute paths in the container that a program's name may
// mean, the first that exists counts: one path, or a bare name in each folder of
// the container's PATH and in its working directory.
func Programs(p *specs.Process, name string) []string {
	switch {
	case name == "":
		return nil
	case path.IsAbs(name):
		return []string{path.Clean(name)}
	case strings.Contains(name, "/"):
		return []string{path.Join("/", p.Cwd, name)}
	}
	var names []string
	for _, folder := range append(searchPath(p.Env), path.Join("/", p.Cwd)) {
		names = append(names, path.Join(folder, name))
	}
	return names
}

// searchPath gives the absolute folders of PATH.
func searchPath(env []string) []string {
	var folders []string
	for _, v := range env {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for folder := range strings.SplitSeq(list, ":") {
			if path.IsAbs(folder) {
				folders = append(folders, path.Clean(folder))
			}
		}
	}
	return folders
}

// consoleSize is the terminal's first size in characters, 0 where not said.
func consoleSize(terminal bool, box *specs.Box) (width, height uint16) {
	if !terminal || box == nil {
		return 0, 0
	}
	return uint16(min(box.Width, math.MaxUint16)), uint16(min(box.Height, math.MaxUint16))
}
