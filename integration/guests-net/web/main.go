// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command web is a guest for the Kubernetes tests: an HTTP server, on port 8080,
// that shows what its container was given, with gRPC's health service on port
// 9090. "web get URL..." asks one.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	_ "github.com/stealthrocket/net/http"
	"github.com/stealthrocket/net/wasip1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthapi "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	run := func() error { return serve() }
	if len(os.Args) > 1 && os.Args[1] == "get" {
		run = func() error { return get(os.Args[2:]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func serve() error {
	if pause, err := time.ParseDuration(os.Getenv("SLOW_START")); err == nil {
		time.Sleep(pause)
	}
	l, err := wasip1.Listen("tcp", ":8080")
	if err != nil {
		return err
	}
	rpc, err := wasip1.Listen("tcp", ":9090")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() {
		server := grpc.NewServer()
		healthapi.RegisterHealthServer(server, health.NewServer())
		failed <- server.Serve(rpc)
	}()
	go func() { failed <- http.Serve(l, routes()) }()
	fmt.Println("web: serving", os.Getenv("VERSION"))
	return <-failed
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "web", os.Getenv("VERSION")) })
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat("/tmp/sick"); err == nil {
			http.Error(w, "sick", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/hook", func(_ http.ResponseWriter, r *http.Request) { fmt.Println("web: hook", r.URL.Query().Get("of")) })
	mux.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		res, err := http.Get(r.URL.Query().Get("url"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		io.Copy(w, res.Body)
	})
	return mux
}

func get(urls []string) error {
	for _, url := range urls {
		res, err := http.Get(url)
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
	}
	return nil
}
