// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package engine is all that the project knows about wazero: how a module is
// compiled into an image (in a compile process, see package compile), and how
// an image is loaded and run (in a sandbox process).
//
// Loading compiles nothing and decodes little. The image holds the module
// without its function bodies, and the machine code is mapped from the image's
// file, so that all containers of a module share it; see package image.
package engine
