// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package integration holds the tests against the real stack. They need the
// build tag "integration" and root, and run in a clean room (package room).
package integration
