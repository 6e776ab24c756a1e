// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// slots is how many modules are compiled at a time on the node. Each takes all
// processors and some hundred megabytes; a second one may go on beside one that
// takes very long.
const slots = 2

// slotPrefix begins the names of the files whose locks are the slots.
const slotPrefix = ".slot"

// slot waits for its turn to compile. Closing the file ends it.
func (c *Cache) slot(ctx context.Context, key string) (*os.File, error) {
	var files [slots]*os.File
	taken := -1
	defer func() {
		for i, f := range files {
			if f != nil && i != taken {
				f.Close()
			}
		}
	}()
	for i := range files {
		name := slotPrefix + string(rune('0'+i))
		fd, err := unix.Openat(c.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("write to the compile cache %s: %w", c.dir, err)
		}
		files[i] = os.NewFile(uintptr(fd), name)
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			taken = i
			return files[i], nil
		}
	}
	i := int(key[0]) % slots
	if err := lock(ctx, files[i]); err != nil {
		return nil, err
	}
	taken = i
	return files[i], nil
}
