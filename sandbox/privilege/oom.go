// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// SetOOMScoreAdj sets how readily the kernel kills a process, and what it will
// start, when memory is short: from -1000, never, to 1000, first. It is written
// by the shim, from outside. Where the kernel refuses to spare a process more
// than the shim itself is spared, which takes CAP_SYS_RESOURCE, the process is
// spared as much as that, and the warning says so.
func SetOOMScoreAdj(pid, score int) (warning string, err error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "oom_score_adj")
	err = os.WriteFile(path, []byte(strconv.Itoa(score)), 0)
	if err == nil {
		return "", nil
	}
	if !errors.Is(err, unix.EACCES) {
		return "", fmt.Errorf("setting the OOM score adjustment to %d: %w", score, err)
	}
	now, _ := os.ReadFile(path)
	return fmt.Sprintf("the OOM score adjustment stays at %s, %d was asked for: lowering it needs CAP_SYS_RESOURCE, which the shim lacks",
		strings.TrimSpace(string(now)), score), nil
}
