// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/room"
)

// grace is how long after a test its leftovers may take to go.
var grace = 5 * time.Second

// Holdings is what exists in the room and would count as left behind:
// processes, mounts, cgroups, files under /run, bundles.
type Holdings map[string]bool

// servers are the programs of nodes and clusters themselves, which may restart.
var servers = map[string]bool{"containerd": true}

// IsServer says that a program is one that may restart.
func IsServer(name string) { servers[name] = true }

// Hold takes stock.
func Hold() Holdings {
	h := Holdings{}
	h.processes()
	h.mounts()
	for _, group := range room.Cgroups(room.Name()) {
		// The namespace's own group, which nobody removes, is not counted, nor
		// are those that a kubelet keeps for its classes of pods.
		switch name := filepath.Base(group); {
		case strings.HasPrefix(name, room.Name()), name == "kubepods", name == "besteffort", name == "burstable":
		default:
			h["cgroup "+group] = true
		}
	}
	h.files("/run")
	h.addresses()
	bundles, _ := filepath.Glob("/var/lib/*/root/io.containerd.runtime.v2.task/*/*")
	for _, bundle := range bundles {
		h["bundle "+bundle] = true
	}
	return h
}

// Since lists what is there now and was not before.
func (h Holdings) Since(before Holdings) []string {
	var more []string
	for item := range h {
		if !before[item] {
			more = append(more, item)
		}
	}
	sort.Strings(more)
	return more
}

// LeftSince waits until nothing is left since the stock was taken, and
// answers with what still is when patience has ended.
func LeftSince(before Holdings) (left []string) {
	soon(grace, func() bool {
		left = Hold().Since(before)
		return len(left) == 0
	})
	return left
}

func (h Holdings) processes() {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil {
			continue // gone meanwhile
		}
		if len(cmdline) == 0 {
			if isKernel(entry.Name()) {
				continue
			}
			cmdline, _ = os.ReadFile(filepath.Join("/proc", entry.Name(), "comm"))
		}
		if program, _, _ := strings.Cut(string(cmdline), "\x00"); servers[filepath.Base(program)] {
			continue
		}
		words := strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " "))
		h[fmt.Sprintf("process %d %s", pid, words)] = true
	}
}

// isKernel says that a process is a thread of the kernel's, which come and go
// as it pleases: kthreadd is their parent.
func isKernel(pid string) bool {
	stat, _ := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // state, parent …
	return len(fields) > 1 && fields[1] == "2" && hasKernel()
}

// hasKernel says that the kernel's threads are in this pid namespace.
func hasKernel() bool {
	comm, _ := os.ReadFile("/proc/2/comm")
	return string(comm) == "kthreadd\n"
}

func (h Holdings) mounts() {
	info, _ := os.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(info), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 4 {
			h["mount "+fields[0]+" "+fields[4]] = true
		}
	}
}

func (h Holdings) files(top string) {
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case strings.HasSuffix(path, "/rootfs"):
			return fs.SkipDir // a container's own files
		case entry.Name() == "mounts.db":
			return nil // containerd's own, from 2.2 on; an upgrade makes it
		case !entry.IsDir():
			h["file "+path] = true
		}
		return nil
	})
}

// addresses are those of the pods' network that are reserved, each a file.
func (h Holdings) addresses() {
	reserved, _ := filepath.Glob("/var/lib/cni/networks/*/[0-9]*")
	for _, address := range reserved {
		h["address "+filepath.Base(address)] = true
	}
}

// watch, called first by everything that makes containers, looks once a test
// for what the test leaves behind, after the test's own cleaning up.
func (n *Node) watch(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	watched := n.watched[t.Name()]
	n.watched[t.Name()] = true
	n.mu.Unlock()
	if watched {
		return
	}
	before, logged := Hold(), n.logged()
	t.Cleanup(func() {
		n.mu.Lock()
		delete(n.watched, t.Name())
		n.mu.Unlock()
		if n.cmd == nil {
			return // the test has stopped the node and looks itself
		}
		for _, item := range LeftSince(before) {
			t.Errorf("left behind: %s", item)
		}
		if t.Failed() {
			t.Logf("containerd's log of this test:\n%s", n.tail(logged))
		}
	})
}

func (n *Node) logged() int64 {
	info, err := os.Stat(n.log)
	if err != nil {
		return 0
	}
	return info.Size()
}
