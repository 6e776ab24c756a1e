// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// InRoot reads files below a directory, which is "/" to them and to their
// symbolic links. Only regular files are read.
func InRoot(dirfd int) ReadFile {
	return func(path string, limit int) ([]byte, error) {
		fd, err := unix.Openat2(dirfd, path, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			return nil, fmt.Errorf("open %s: not a regular file", path)
		}
		// One more than the size, so that the end shows without another read
		// of a full buffer; files that grow meanwhile are cut.
		buf := make([]byte, min(max(st.Size, 0)+1, int64(limit)))
		for n := 0; ; {
			m, err := unix.Read(fd, buf[n:])
			switch {
			case err == unix.EINTR:
			case err != nil:
				return nil, fmt.Errorf("read %s: %w", path, err)
			default:
				n += m
				if m == 0 || n == len(buf) {
					return buf[:n], nil
				}
			}
		}
	}
}

// lines calls f with the fields of each line of a file, without comments.
func lines(data []byte, comment string, f func(fields []string) bool) {
	for line := range bytes.Lines(data) {
		if i := bytes.IndexAny(line, comment); i >= 0 {
			line = line[:i]
		}
		if fields := strings.Fields(string(line)); len(fields) > 0 && !f(fields) {
			return
		}
	}
}

// hostsLookup finds a name in the text of /etc/hosts. It is found also when
// none of its addresses are of the family.
func hostsLookup(data []byte, name string, family Family) (Result, bool) {
	var res Result
	found := false
	lines(data, "#", func(fields []string) bool {
		for _, alias := range fields[1:] {
			if !equalFold(strings.TrimSuffix(alias, "."), name) {
				continue
			}
			addr, ok := Numeric(fields[0])
			if !ok {
				return true
			}
			if !found {
				found, res.Canonical = true, strings.TrimSuffix(fields[1], ".")
			}
			if family.has(addr) {
				res.Addrs = addAddr(res.Addrs, addr)
			}
			return len(res.Addrs) < MaxAddrs
		}
		return true
	})
	return res, found
}

func addAddr(addrs []netip.Addr, addr netip.Addr) []netip.Addr {
	if len(addrs) >= MaxAddrs {
		return addrs
	}
	for _, a := range addrs {
		if a == addr {
			return addrs
		}
	}
	return append(addrs, addr)
}

// config is what resolv.conf(5) says, with the C library's defaults and caps.
type config struct {
	servers  []netip.Addr
	search   []string
	ndots    int
	timeout  int // in units of a second
	attempts int
	rotate   bool
	useTCP   bool
	single   bool // ask for A and AAAA one after the other
}

const (
	maxServers  = 3
	maxSearch   = 32
	maxNdots    = 15
	maxTimeout  = 30
	maxAttempts = 5
)

func parseResolv(data []byte) config {
	c := config{ndots: 1, timeout: 5, attempts: 2}
	lines(data, "#;", func(fields []string) bool {
		switch fields[0] {
		case "nameserver":
			if len(fields) > 1 && len(c.servers) < maxServers {
				if addr, err := netip.ParseAddr(fields[1]); err == nil {
					c.servers = append(c.servers, addr.Unmap())
				}
			}
		case "domain":
			c.search = searchList(fields[1:min(len(fields), 2)])
		case "search":
			c.search = searchList(fields[1:])
		case "options":
			for _, o := range fields[1:] {
				c.option(o)
			}
		}
		return true
	})
	return c
}

func searchList(domains []string) (list []string) {
	for _, d := range domains {
		d = strings.TrimSuffix(d, ".")
		if ValidName(d) && len(list) < maxSearch {
			list = append(list, d)
		}
	}
	return list
}

func (c *config) option(o string) {
	key, value, _ := strings.Cut(o, ":")
	switch key {
	case "ndots":
		c.ndots = bounded(value, 0, maxNdots, c.ndots)
	case "timeout":
		c.timeout = bounded(value, 1, maxTimeout, c.timeout)
	case "attempts":
		c.attempts = bounded(value, 1, maxAttempts, c.attempts)
	case "rotate":
		c.rotate = true
	case "use-vc", "usevc", "tcp":
		c.useTCP = true
	case "single-request", "single-request-reopen":
		c.single = true
	}
}

// bounded reads a number and brings it within its bounds.
func bounded(s string, low, high, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return otherwise
	}
	return min(max(n, low), high)
}

// candidates are the full names to ask for, in order, as the C library makes
// them: the search domains apply to names with fewer dots than ndots first, to
// others last, to those with a final dot never.
func (c *config) candidates(name string, rooted bool) []string {
	if rooted {
		return []string{name}
	}
	first := strings.Count(name, ".") >= c.ndots
	var names []string
	if first {
		names = append(names, name)
	}
	for _, domain := range c.search {
		if full := name + "." + domain; len(full) <= 253 {
			names = append(names, full)
		}
	}
	if !first {
		names = append(names, name)
	}
	return names
}
