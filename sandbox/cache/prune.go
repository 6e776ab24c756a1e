// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// abandoned is after what time an unfinished file that nobody holds is removed.
const abandoned = time.Hour

// prune removes the images that were not used for the longest time until the
// cache has its size again, and what shims that died have left. The image just
// made stays. Failing to remove one is no error: the next prune tries again.
func (c *Cache) prune(keep string) {
	type file struct {
		name string
		size int64
		used int64
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var files []file
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), slotPrefix) {
			continue
		}
		st := info.Sys().(*syscall.Stat_t)
		if strings.HasSuffix(e.Name(), unfinished) {
			if time.Since(info.ModTime()) > abandoned {
				c.sweep(e.Name())
			}
			continue
		}
		total += st.Blocks * 512
		files = append(files, file{e.Name(), st.Blocks * 512, st.Atim.Nano()})
	}
	if total <= c.options.Size {
		return
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.used, b.used) })
	for _, f := range files {
		// A tenth more than needed, or each new module would prune again.
		if total <= c.options.Size/10*9 {
			return
		}
		if f.name != keep && c.remove(f.name) == nil {
			total -= f.size
		}
	}
}

// sweep removes an unfinished file unless somebody is writing to it.
func (c *Cache) sweep(name string) {
	fd, err := unix.Openat(c.fd, name, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
		_ = unix.Unlinkat(c.fd, name, 0)
	}
}
