// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

// nativeEnv makes the test binary a native Go server of the guest's shape.
const nativeEnv = "WASMEDGE_TEST_NATIVE"

func serveNative() int {
	l, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.RemoteAddr) })
	http.Serve(l, nil)
	return 0
}

// BenchmarkHello is an HTTP request to a Go guest, and to the same in native Go
// on one processor, by a hundred clients.
func BenchmarkHello(b *testing.B) {
	b.Run("guest", func(b *testing.B) {
		p := start(b, host{Wasm: build(b, "gonet", "getaddrinfo"), Args: []string{"gonet", "http-server", "127.0.0.1:0"}, Grants: policy.Free()})
		hello(b, p.line(b))
	})
	b.Run("native", func(b *testing.B) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{nativeEnv + "=1", "GOMAXPROCS=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		buf := make([]byte, 64)
		n, err := out.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		hello(b, strings.TrimSpace(string(buf[:n])))
	})
}

func hello(b *testing.B, addr string) {
	const clients = 100
	transport := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	b.SetParallelism(clients / 2)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := client.Get("http://" + addr + "/hello")
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
