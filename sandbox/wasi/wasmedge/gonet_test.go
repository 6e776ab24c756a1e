// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

func gonet(t testing.TB, args ...string) host {
	return host{Wasm: build(t, "gonet", "getaddrinfo"), Args: append([]string{"gonet"}, args...), Grants: policy.Free()}
}

func TestGoHTTPServer(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(addr, func(t *testing.T) {
			p := start(t, gonet(t, "http-server", addr))
			url := "http://" + p.line(t) + "/hello"
			url = strings.Replace(url, "0.0.0.0", "127.0.0.1", 1)
			body := get(t, url)
			if !strings.HasPrefix(body, "hello 127.0.0.1:") && !strings.HasPrefix(body, "hello [::1]:") {
				t.Errorf("body %q", body)
			}
		})
	}
}

func get(t testing.TB, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return string(body)
}

func TestGoHTTPServerUnderLoad(t *testing.T) {
	const requests, clients = 10_000, 100
	p := start(t, gonet(t, "http-server", "127.0.0.1:0"))
	load(t, "http://"+p.line(t)+"/hello", requests, clients)
}

// load makes requests, so many at a time, and fails on the first error.
func load(t testing.TB, url string, requests, clients int) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	work := make(chan struct{}, requests)
	for range requests {
		work <- struct{}{}
	}
	close(work)
	errs := make(chan error, clients)
	begin := time.Now()
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range work {
				res, err := client.Get(url)
				if err != nil {
					errs <- err
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || !strings.HasPrefix(string(body), "hello") {
					errs <- fmt.Errorf("body %q: %w", body, err)
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
		t.Logf("%.0f requests a second", float64(requests)/time.Since(begin).Seconds())
	}
}

func TestGoHTTPClient(t *testing.T) {
	p := start(t, gonet(t, "http-server", "127.0.0.1:0"))
	url := "http://" + p.line(t) + "/hello"
	out, errs, code := run(t, gonet(t, "http-get", url, strings.Replace(url, "127.0.0.1", "localhost", 1)))
	if code != 0 || strings.Count(out, "hello 127.0.0.1:") != 2 {
		t.Errorf("%q, %q, exit %d", out, errs, code)
	}
}

func TestGoUDPEcho(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		p := start(t, gonet(t, "udp-echo", addr))
		server := p.line(t)
		c, err := stdnet.Dial("udp", server)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		for i := range 1000 {
			msg := fmt.Sprintf("message %d %s", i, strings.Repeat("x", i))
			if _, err := io.WriteString(c, msg); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			n, err := c.Read(buf)
			if err != nil || string(buf[:n]) != msg {
				t.Fatalf("message %d: %q, %v", i, buf[:n], err)
			}
		}
		if out, errs, code := run(t, gonet(t, "udp-send", server, "from a guest")); code != 0 || out != "from a guest" {
			t.Errorf("%q, %q, exit %d", out, errs, code)
		}
	}
}

func TestGoTCPEcho(t *testing.T) {
	p := start(t, gonet(t, "tcp-echo", "127.0.0.1:0"))
	addr := p.line(t)
	big := strings.Repeat("0123456789", 500_000)
	if out, errs, code := run(t, gonet(t, "tcp-send", addr, "0123456789", "500000")); code != 0 || out != big {
		t.Errorf("%d of %d bytes, %q, exit %d", len(out), len(big), errs, code)
	}
}

func TestGoDeadline(t *testing.T) {
	l, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, errs, code := run(t, gonet(t, "deadline", l.Addr().String())); code != 0 {
		t.Errorf("%q, exit %d", errs, code)
	}
}

func TestGoConnectionRefused(t *testing.T) {
	l, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	if _, errs, code := run(t, gonet(t, "tcp-send", addr, "x")); code != 1 || !strings.Contains(errs, "Connection refused") {
		t.Errorf("%q, exit %d", errs, code)
	}
}
