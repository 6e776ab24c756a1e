// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// orphans removes the network namespaces that a containerd made and forgot, killed
// before it had written down whose they are or before it had removed the last of them,
// as with any runtime: at most one each time. What else is left of a pod fails the test.
func (k *killer) orphans() {
	k.Helper()
	files, err := filepath.Glob("/run/netns/cni-*")
	if err != nil {
		k.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if !k.unseen(file) {
			continue
		}
		k.Logf("containerd has forgotten %s", file)
		found++
		_ = unix.Unmount(file, unix.MNT_DETACH) // it may not be mounted yet, or not any more
		if err := os.Remove(file); err != nil {
			k.Error(err)
		}
	}
	if found > len(k.away) {
		k.Errorf("%d network namespaces are nobody's, and containerd was killed %d times", found, len(k.away))
	}
}

// unseen says that CNI has not seen a network namespace: it has its loopback only, or
// is a file and not mounted.
func (k *killer) unseen(path string) bool {
	links := harness.Execute(k.T, exec.Command("nsenter", "--net="+path, "ip", "-o", "link"))
	return links.Status != 0 || strings.Count(links.Stdout, "\n") <= 1
}
