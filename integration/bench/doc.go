// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package bench measures what containerd's users feel, beside runc in the same
// run, and writes the tables of docs/benchmarks.md. It needs the build tag
// "bench" and root, and runs in a clean room (package room).
//
// On a machine that others use, a duration says little and a ratio of medians
// more: what is compared is measured in turns.
package bench
