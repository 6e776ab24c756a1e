// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command copy copies one file to another by reads and writes of 64 KiB.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "copy:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	// Without ReadFrom and WriteTo, by which a native program would leave the
	// copying to the kernel.
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 64<<10))
	if err != nil {
		return err
	}
	return out.Close()
}
