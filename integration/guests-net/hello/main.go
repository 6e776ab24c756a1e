// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command hello is an HTTP server for the benchmarks, as a guest and as a program
// for Linux.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	l, err := listen(":8080")
	if err == nil {
		http.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
		err = http.Serve(l, nil)
	}
	fmt.Fprintln(os.Stderr, "hello:", err)
	os.Exit(1)
}
