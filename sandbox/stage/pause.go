// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stage

import "golang.org/x/sys/unix"

// pause holds a pod's namespaces until it is killed. Where it is pid 1 of the
// pod's pid namespace orphans become its children; the kernel reaps them, since
// SIGCHLD is ignored (answerSignals).
func pause() int {
	for {
		_, _ = unix.Ppoll(nil, nil, nil)
	}
}
