// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ShimProcess is a shim that serves.
type ShimProcess struct {
	Pid    int
	ID     string // its container's, or its pod's
	Socket string
}

// ShimProcesses is all of them in the room, in the order of their ids.
func ShimProcesses() (all []ShimProcess) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // gone meanwhile
		}
		args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		id, socket := slices.Index(args, "-id")+1, slices.Index(args, "-socket")+1
		if filepath.Base(args[0]) != ShimBinary || min(id, socket) == 0 || max(id, socket) == len(args) {
			continue // "start" and "delete" are given no socket
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err == nil {
			all = append(all, ShimProcess{pid, args[id], args[socket]})
		}
	}
	slices.SortFunc(all, func(a, b ShimProcess) int { return strings.Compare(a.ID, b.ID) })
	return all
}
