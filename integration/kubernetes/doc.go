// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubernetes tests pods of a real Kubernetes cluster.
package kubernetes
