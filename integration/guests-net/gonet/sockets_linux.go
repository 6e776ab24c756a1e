// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "net"

var listen, listenPacket, dial = net.Listen, net.ListenPacket, new(net.Dialer).DialContext
