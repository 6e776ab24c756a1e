// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// kinds of container under Docker that say hello, runc's first: the options, the
// image and the arguments of docker run.
var kinds = [][]string{
	{engine.LinuxBox, "echo", "hello"},
	append(slices.Clip(wasm), engine.Guests, "/hello-c.wasm"),
	append(slices.Clip(wasm), engine.Box, "echo", "hello"),
}

var wasm = []string{"--runtime", engine.Runtime, "--platform", "wasi/wasm"}

// dockerRun is "docker run --rm" of a hello, on the bridge and without network; and
// that of a module which can accept connections too, so that the shim looks up what
// its image exposes.
func dockerRun(t *testing.T, _ *harness.Node, figures *table) {
	e := engine.Shared(t)
	figures.with = "Docker Engine " + e.Ask(t, "version", "-f", "{{.Server.Version}}")
	e.LoadAll(t)
	for _, network := range []string{"bridge", "none"} {
		times := make([][]time.Duration, len(kinds))
		for round := -1; round < *rounds; round++ {
			for i, kind := range kinds {
				begin := time.Now()
				sayHello(t, e, network, kind)
				if round >= 0 {
					times[i] = append(times[i], time.Since(begin))
				}
			}
		}
		what := "`docker run --rm` of hello, `--network " + network + "`"
		runc := median(times[0])
		figures.beside(what, median(times[1]), runc, "0.6")
		figures.beside(what+", in a module that can accept connections", median(times[2]), runc, "")
	}
}

// sayHello runs a container of one of the kinds.
func sayHello(t *testing.T, e *engine.Engine, network string, kind []string) {
	t.Helper()
	out := e.Docker(t, append([]string{"run", "--rm", "--network", network}, kind...)...)
	if out.Exits(0); !strings.Contains(out.Stdout, "hello") {
		t.Fatalf("%v printed %q", kind, out.Stdout)
	}
}

// composeUp is "docker compose up" of ten services.
func composeUp(t *testing.T, _ *harness.Node, figures *table) {
	e := engine.Shared(t)
	e.LoadAll(t)
	var times [2][]time.Duration
	for range max(3, *rounds/5) {
		for i, more := range []string{"image: " + engine.LinuxBox, "image: " + engine.Box + "\n    runtime: " + engine.Runtime + "\n    platform: wasi/wasm"} {
			dir := t.TempDir()
			text := "services:\n"
			for n := range 10 {
				text += fmt.Sprintf("  s%d:\n    %s\n    command: [sleep, \"1000000\"]\n", n, more)
			}
			if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			e.Shell(t, dir, "docker compose -p bench up -d").Exits(0)
			times[i] = append(times[i], time.Since(begin))
			e.Shell(t, dir, "docker compose -p bench down -t 0").Exits(0)
		}
	}
	figures.beside("`docker compose up` of ten services", median(times[1]), median(times[0]), "")
}

// requests are an HTTP hello's, through a published port, by 100 clients: one Go
// program as a module and as a Linux program, five times in turns.
func requests(t *testing.T, _ *harness.Node, figures *table) {
	e := engine.Shared(t)
	urls := [2]string{
		serve(t, e, "hello-linux", "hello-linux", "linux", harness.Architecture()),
		serve(t, e, "hello-wasm", "hello.wasm", "", "", "--runtime", engine.Runtime, "--platform", "wasi/wasm"),
	}
	var rates [2][]float64
	for round := -1; round < 5; round++ {
		for kind, url := range urls {
			rate := load(t, url, 4000, 100)
			if round >= 0 {
				rates[kind] = append(rates[kind], rate)
			}
		}
	}
	wasm, native := median(rates[1]), median(rates[0])
	fmt.Printf("requests a second: %.0f, native %.0f\n", wasm, native)
	figures.row("Requests a second of an HTTP hello through a published port, beside the same Go program for Linux", "",
		fmt.Sprintf("%.2f", wasm/native), "0.25 at least")
}

// serve starts a program of guests-net that answers on port 8080, in an image of
// its own, and waits until its URL does.
func serve(t *testing.T, e *engine.Engine, name, program, os, arch string, options ...string) (url string) {
	t.Helper()
	server, err := image.Copy("server", harness.Built(t, "guests-net", program))
	if err != nil {
		t.Fatal(err)
	}
	e.Load(t, image.Image{
		Name: "docker.io/library/" + name + ":latest", OS: os, Arch: arch,
		Config: v1.ImageConfig{Entrypoint: []string{"/server"}}, Files: append(harness.BaseFiles(), server),
	})
	args := append([]string{"run", "-d", "--name", name, "-p", "127.0.0.1:0:8080"}, options...)
	e.Docker(t, append(args, name)...).Exits(0)
	url = "http://" + e.Ask(t, "port", name, "8080/tcp") + "/hello"
	harness.Eventually(t, name+" answers", func() bool {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	return url
}

// load asks so often by so many clients and answers with requests a second.
func load(t *testing.T, url string, count, clients int) float64 {
	t.Helper()
	turns := make(chan struct{}, count)
	for range count {
		turns <- struct{}{}
	}
	close(turns)
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: clients, DialContext: (&net.Dialer{Timeout: harness.Patience}).DialContext,
	}}
	var all sync.WaitGroup
	begin := time.Now()
	for range clients {
		all.Go(func() {
			for range turns {
				res, err := client.Get(url)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	all.Wait()
	return float64(count) / time.Since(begin).Seconds()
}
