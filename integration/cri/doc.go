// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package cri runs pods of the shim under containerd's CRI plugin, driven by
// crictl as a kubelet would, on a network of CNI's bridge plugin.
package cri
