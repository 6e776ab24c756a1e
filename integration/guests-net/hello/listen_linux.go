// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "net"

func listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }
