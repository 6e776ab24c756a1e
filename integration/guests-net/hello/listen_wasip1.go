// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"

	"github.com/stealthrocket/net/wasip1"
)

func listen(address string) (net.Listener, error) { return wasip1.Listen("tcp", address) }
