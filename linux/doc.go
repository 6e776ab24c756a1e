// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package linux runs the Linux programs of a pod beside its Wasm containers:
// sidecars, init containers, debug containers. It does not run them itself. It
// starts containerd's shim for runc, once for the pod, and hands it the requests
// that are about such containers. docs/architecture.md says why.
package linux
