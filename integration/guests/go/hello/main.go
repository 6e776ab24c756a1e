// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command hello prints one line.
package main

import "fmt"

func main() {
	fmt.Println("hello from Go")
}
