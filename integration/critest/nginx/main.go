// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command nginx is what critest asks of its web server's image: a page on the port
// that is given, a pid file, and a master process.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"syscall"
)

func main() {
	const master = "nginx: master process"
	if len(os.Args) < 2 {
		log.Fatal("usage: nginx PORT")
	}
	if os.Args[0] != master {
		log.Fatal(syscall.Exec("/usr/sbin/nginx", []string{master, os.Args[1]}, os.Environ()))
	}
	if err := os.WriteFile("/var/run/nginx.pid", fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		log.Fatal(err)
	}
	log.Print("httpd serves")
	log.Fatal(http.ListenAndServe(":"+os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "Welcome to nginx!")
	})))
}
