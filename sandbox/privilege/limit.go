// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// unlimitable are resources whose limit would break the Go runtime, which
// reserves far more address space than it uses. The limit of the guest's memory
// stands for them.
func unlimitable(resource int) bool {
	return resource == unix.RLIMIT_AS || resource == unix.RLIMIT_DATA
}

// raiseHardLimits raises the hard limits that are to be raised, while the
// process may: the soft ones follow in Limit, which every user may do.
func raiseHardLimits(limits []config.Rlimit) error {
	for _, l := range limits {
		if unlimitable(l.Type) {
			continue
		}
		var now unix.Rlimit
		if err := unix.Prlimit(0, l.Type, nil, &now); err != nil {
			return fmt.Errorf("reading %s: %w", rlimitName(l.Type), err)
		}
		if l.Hard <= now.Max {
			continue
		}
		err := unix.Prlimit(0, l.Type, &unix.Rlimit{Cur: now.Cur, Max: l.Hard}, nil)
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("%s of %d is more than the shim's own hard limit of %d, and the shim may not raise it: ask for less, or raise containerd's limit: %w",
				rlimitName(l.Type), l.Hard, now.Max, errdefs.ErrPermissionDenied)
		}
		if err != nil {
			return fmt.Errorf("setting %s to %d: %w", rlimitName(l.Type), l.Hard, err)
		}
	}
	return nil
}

// Limit sets the resource limits, after Drop and once all is open and mapped.
// It goes past the Go runtime, which has an opinion on RLIMIT_NOFILE. RLIMIT_AS
// and RLIMIT_DATA are the caller's to translate.
func Limit(limits []config.Rlimit) error {
	for _, l := range limits {
		if unlimitable(l.Type) {
			continue
		}
		if err := unix.Prlimit(0, l.Type, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil); err != nil {
			if errors.Is(err, unix.EINVAL) {
				err = fmt.Errorf("%w: the soft limit is above the hard one: %w", err, errdefs.ErrInvalidArgument)
			}
			return fmt.Errorf("setting %s to %d, %d at most: %w", rlimitName(l.Type), l.Soft, l.Hard, err)
		}
	}
	return nil
}

// rlimitNames are the limits' names by number, as the bundle has them.
var rlimitNames = [...]string{
	unix.RLIMIT_CPU: "RLIMIT_CPU", unix.RLIMIT_FSIZE: "RLIMIT_FSIZE", unix.RLIMIT_DATA: "RLIMIT_DATA",
	unix.RLIMIT_STACK: "RLIMIT_STACK", unix.RLIMIT_CORE: "RLIMIT_CORE", unix.RLIMIT_RSS: "RLIMIT_RSS",
	unix.RLIMIT_NPROC: "RLIMIT_NPROC", unix.RLIMIT_NOFILE: "RLIMIT_NOFILE", unix.RLIMIT_MEMLOCK: "RLIMIT_MEMLOCK",
	unix.RLIMIT_AS: "RLIMIT_AS", unix.RLIMIT_LOCKS: "RLIMIT_LOCKS", unix.RLIMIT_SIGPENDING: "RLIMIT_SIGPENDING",
	unix.RLIMIT_MSGQUEUE: "RLIMIT_MSGQUEUE", unix.RLIMIT_NICE: "RLIMIT_NICE", unix.RLIMIT_RTPRIO: "RLIMIT_RTPRIO",
	unix.RLIMIT_RTTIME: "RLIMIT_RTTIME",
}

func rlimitName(n int) string {
	if n >= 0 && n < len(rlimitNames) {
		return rlimitNames[n]
	}
	return fmt.Sprint("resource limit ", n)
}
