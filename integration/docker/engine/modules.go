// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ModuleProxy serves this machine's cache of Go modules to containers, until
// the room's end: what a build downloads elsewhere. Its answer is a GOPROXY.
func (e *Engine) ModuleProxy(t testing.TB) string {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.proxy != "" {
		return e.proxy
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	// The address of docker0, which containers and builds reach.
	host, _, err := net.ParseCIDR(e.config["bip"].(string))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	files := http.Dir(filepath.Join(strings.TrimSpace(string(cache)), "cache", "download"))
	go func() { _ = http.Serve(l, http.FileServer(files)) }()
	e.proxy = "http://" + l.Addr().String()
	return e.proxy
}
