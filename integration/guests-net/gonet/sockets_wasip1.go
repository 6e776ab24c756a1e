// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "github.com/stealthrocket/net/http"
	"github.com/stealthrocket/net/wasip1"
)

var listen, listenPacket, dial = wasip1.Listen, wasip1.ListenPacket, wasip1.DialContext
