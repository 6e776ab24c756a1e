// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance runs Kubernetes' own tests of nodes against a cluster on
// which every pod is one of the runtime's.
package conformance
