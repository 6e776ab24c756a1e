// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command preopened is a guest for the network tests: an HTTP server on the
// first socket that it finds open, in plain Go, which also reads a file.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	file := os.NewFile(3, "socket")
	listener, err := net.FileListener(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile("/etc/hosts")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		w.Write(text)
	})
	http.Serve(listener, nil)
}
