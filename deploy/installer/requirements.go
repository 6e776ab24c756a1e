// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"containerd-shim-wazero/deploy/installer/kube"
)

// Requirement is what a node lacks: a label's value, and a sentence for the log.
type requirement struct{ label, text string }

// examine answers with containerd's major version, or with what the node lacks.
func examine(info kube.Info, arch, shim string) (major int, lacks *requirement) {
	if _, err := os.Stat(shim); err != nil || info.Architecture != arch {
		return 0, &requirement{"unsupported-architecture",
			fmt.Sprintf("its architecture is %s, and the shim is built for amd64 and arm64", info.Architecture)}
	}
	if !atLeast(info.KernelVersion, 5, 15) {
		return 0, &requirement{"unsupported-kernel", fmt.Sprintf("its kernel is %s: 5.15 or later is needed", info.KernelVersion)}
	}
	name, version, _ := strings.Cut(info.ContainerRuntimeVersion, "://")
	if name != "containerd" || !atLeast(version, 1, 7) {
		return 0, &requirement{"unsupported-containerd",
			fmt.Sprintf("its container runtime is %s: containerd 1.7 or later is needed", info.ContainerRuntimeVersion)}
	}
	major, _ = numbers(version)
	return major, nil
}

func atLeast(version string, major, minor int) bool {
	haveMajor, haveMinor := numbers(version)
	return haveMajor > major || haveMajor == major && haveMinor >= minor
}

// numbers are the first two of a version, 0 where there is none.
func numbers(version string) (major, minor int) {
	_, _ = fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor)
	return major, minor
}
