// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasmedge

import (
	"fmt"
	"io"
	stdnet "net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

// rustGuests compiles the Rust guests, once, into the repository's build folder.
var rustGuests = sync.OnceValues(func() (string, error) {
	out, err := filepath.Abs("../../../build/guests-net")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("./build.sh", out)
	cmd.Dir = filepath.Join(guestDir, "rust")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build of the Rust guests: %w\n%s", err, text)
	}
	return out, nil
})

func rust(t testing.TB, name string, args ...string) host {
	t.Helper()
	dir, err := rustGuests()
	if err != nil {
		t.Fatal(err)
	}
	outputDir(t)
	return host{Wasm: filepath.Join(dir, name+".wasm"), Args: append([]string{name}, args...), Grants: policy.Free()}
}

// freePort gives an address at which nobody listens.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestRustTCP(t *testing.T) {
	for _, guest := range []string{"sock", "sock_v1"} {
		t.Run(guest, func(t *testing.T) {
			p := start(t, rust(t, guest, "tcp-echo", freePort(t)))
			addr := p.line(t)
			for i := range 3 {
				text := strings.Repeat(fmt.Sprint(i), 50_000)
				if out, errs, code := run(t, rust(t, guest, "tcp-send", addr, text)); code != 0 || out != text {
					t.Errorf("%d bytes, %q, exit %d", len(out), errs, code)
				}
			}
		})
	}
}

func TestRustUDP(t *testing.T) {
	for _, guest := range []string{"sock", "sock_v1"} {
		t.Run(guest, func(t *testing.T) {
			p := start(t, rust(t, guest, "udp-echo", freePort(t)))
			addr := p.line(t)
			c, err := stdnet.Dial("udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			// The first generation's guest says its address before it binds.
			buf := make([]byte, 100)
			for end := time.Now().Add(10 * time.Second); ; {
				io.WriteString(c, "hello")
				c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				if n, err := c.Read(buf); err == nil && string(buf[:n]) == "hello" {
					break
				}
				if time.Now().After(end) {
					t.Fatal("no echo")
				}
			}
			if guest == "sock_v1" {
				return
			}
			if out, errs, code := run(t, rust(t, guest, "udp-send", addr, "from a guest")); code != 0 || out != "from a guest" {
				t.Errorf("%q, %q, exit %d", out, errs, code)
			}
		})
	}
}

func TestRustLookup(t *testing.T) {
	for _, guest := range []string{"sock", "sock_v1"} {
		out, errs, code := run(t, rust(t, guest, "lookup", "localhost", "http"))
		if code != 0 || out != "127.0.0.1:80\n" {
			t.Errorf("%s: %q, %q, exit %d", guest, out, errs, code)
		}
		if out, errs, code := run(t, rust(t, guest, "lookup", "a..b", "http")); code != 1 || !strings.Contains(errs, "84") {
			t.Errorf("%s: %q, %q, exit %d", guest, out, errs, code)
		}
	}
}

func TestRustOptions(t *testing.T) {
	if out, errs, code := run(t, rust(t, "sock", "options")); code != 0 || out != "ok\n" {
		t.Errorf("%q, %q, exit %d", out, errs, code)
	}
}

func TestHyper(t *testing.T) {
	p := start(t, rust(t, "hyper", "http-server", freePort(t)))
	url := "http://" + p.line(t)
	if out, errs, code := run(t, rust(t, "hyper", "http-get", url+"/hello")); code != 0 || out != "hello from hyper" {
		t.Errorf("%q, %q, exit %d", out, errs, code)
	}
	text := strings.Repeat("x", 1<<20)
	res, err := http.Post(url+"/echo", "text/plain", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if back, err := io.ReadAll(res.Body); err != nil || string(back) != text {
		t.Errorf("%d bytes came back, %v", len(back), err)
	}
	load(t, url+"/hello", 10_000, 100)
}
