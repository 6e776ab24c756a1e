// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fs

import "golang.org/x/sys/unix"

const sysFstatat = unix.SYS_NEWFSTATAT
