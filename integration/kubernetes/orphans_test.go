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

// orphans removes what containerd itself makes of a pod, and forgets when it is
// killed before it has written down whose that is, or before it has removed the last
// of it, as with any runtime: at most one of a kind each time. What else is left of a
// pod fails the test.
func (k *killer) orphans() {
	k.Helper()
	found := k.forgotten("/run/netns/cni-*", k.unseen)
	cri := filepath.Join(k.ns.Node.State(), "io.containerd.grpc.v1.cri")
	for _, kind := range []string{"sandboxes", "containers"} {
		found = max(found, k.forgotten(filepath.Join(cri, kind, "*"), k.unknown))
	}
	if found > len(k.away) {
		k.Errorf("%d of one kind are nobody's, and containerd was killed %d times", found, len(k.away))
	}
}

// forgotten unmounts and removes those of some paths that are nobody's, and counts them.
func (k *killer) forgotten(pattern string, orphan func(path string) bool) (found int) {
	k.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		k.Fatal(err)
	}
	for _, path := range paths {
		if !orphan(path) {
			continue
		}
		k.Logf("containerd has forgotten %s", path)
		found++
		for _, mount := range []string{path, filepath.Join(path, "shm")} {
			// It may not be mounted yet, or not any more.
			_ = unix.Unmount(mount, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		if err := os.RemoveAll(path); err != nil {
			k.Error(err)
		}
	}
	return found
}

// unseen says that CNI has not seen a network namespace: it has its loopback only, or
// is a file and not mounted.
func (k *killer) unseen(path string) bool {
	links := harness.Execute(k.T, exec.Command("nsenter", "--net="+path, "ip", "-o", "link"))
	return links.Status != 0 || strings.Count(links.Stdout, "\n") <= 1
}

// unknown says that containerd knows no container, or sandbox, of a folder's name.
func (k *killer) unknown(path string) bool {
	return k.ns.Node.Ctr(k.T, "containers", "info", filepath.Base(path)).Status != 0
}
