// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"strconv"
	"strings"
)

// wellKnown are the services of which guests without /etc/services know the
// port; each is the same for TCP and UDP.
var wellKnown = [...]struct {
	name string
	port uint16
}{
	{"domain", 53}, {"ftp", 21}, {"http", 80}, {"https", 443}, {"imap", 143}, {"imaps", 993},
	{"ldap", 389}, {"ldaps", 636}, {"mysql", 3306}, {"ntp", 123}, {"postgresql", 5432},
	{"redis", 6379}, {"smtp", 25}, {"ssh", 22}, {"submission", 587}, {"syslog", 514},
}

// Port gives the port of a service: a number, a name in the container's
// /etc/services for the transport (tcp, udp, or empty for either), or a
// well-known name.
func (r *Resolver) Port(service, transport string) (uint16, bool) {
	if service == "" {
		return 0, true
	}
	if '0' <= service[0] && service[0] <= '9' {
		n, err := strconv.ParseUint(service, 10, 16)
		if err != nil {
			return 0, false
		}
		return uint16(n), true
	}
	var port uint16
	found := false
	data, _ := r.read(servicesPath, maxServices)
	lines(data, "#", func(fields []string) bool {
		if len(fields) < 2 {
			return true
		}
		number, proto, _ := strings.Cut(fields[1], "/")
		if transport != "" && proto != transport {
			return true
		}
		for i, name := range fields {
			if i == 1 || name != service {
				continue
			}
			if n, err := strconv.ParseUint(number, 10, 16); err == nil {
				port, found = uint16(n), true
				return false
			}
		}
		return true
	})
	for i := range wellKnown {
		if !found && wellKnown[i].name == service {
			port, found = wellKnown[i].port, true
		}
	}
	return port, found
}
