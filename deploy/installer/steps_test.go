// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/deploy/installer/config"
	"containerd-shim-wazero/deploy/installer/host"
	"containerd-shim-wazero/deploy/installer/kube"
)

// A containerd that does not come back gets its old configuration; that it has to
// be started once more is not forgotten.
func TestUndone(t *testing.T) {
	dir := t.TempDir()
	path, pending := filepath.Join(dir, "config.toml"), filepath.Join(dir, "pending")
	const before = "version = 3\n"
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	i := &installer{
		layout:  config.Layout{Dir: dir},
		host:    host.Host{Proc: t.TempDir(), Config: path, Settled: 10 * time.Millisecond, Patience: 50 * time.Millisecond},
		pending: pending,
	}
	changes, err := i.layout.Installation(2, "/opt/wazero/shim")
	if err != nil || len(changes) != 1 {
		t.Fatalf("%v, %v", changes, err)
	}
	if err := i.configure(context.Background(), changes); err == nil {
		t.Error("nothing runs, and it was configured")
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != before {
		t.Errorf("the file is %q, %v", now, err)
	}
	if _, err := os.Stat(pending); err != nil {
		t.Error(err)
	}
	// Told to stop, it leaves the file as it is for the next one.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := i.configure(ctx, changes); err == nil {
		t.Error("told to stop, and it was configured")
	}
	if now, err := os.ReadFile(path); err != nil || string(now) == before {
		t.Errorf("the file is %q, %v", now, err)
	}
	// The next one has nothing to change, and is not content with that.
	if err := i.configure(context.Background(), nil); err == nil {
		t.Error("a restart that was due was forgotten")
	}
}

// The shim can be executed, also where one without that right was before it. Other
// rights stay.
func TestCopyBinary(t *testing.T) {
	dir := t.TempDir()
	i := &installer{source: filepath.Join(dir, "new"), binary: filepath.Join(dir, "shim")}
	if err := os.WriteFile(i.source, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		there         string
		before, after os.FileMode
	}{{"", 0, 0o755}, {"old", 0o644, 0o755}, {"new", 0o644, 0o755}, {"old", 0o700, 0o700}, {"new", 0o700, 0o700}} {
		if c.there != "" {
			if err := os.WriteFile(i.binary, []byte(c.there), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(i.binary, c.before); err != nil {
				t.Fatal(err)
			}
		}
		if err := i.copyBinary(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(i.binary)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(i.binary)
		if err != nil || info.Mode() != c.after || string(text) != "new" {
			t.Errorf("%+v: %v, %q, %v", c, info.Mode(), text, err)
		}
	}
}

// A node that failed is labelled so also by an API server that was away: the pod does
// not end for it.
func TestFailed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var asked int
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), failed) {
			t.Errorf("asked %s", body)
		}
		if asked++; asked == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "{}")
		cancel()
	}))
	defer server.Close()
	account := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, text := range map[string]string{"ca.crt": string(ca), "token": "secret"} {
		if err := os.WriteFile(filepath.Join(account, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", address)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	i := new(installer)
	if i.node, err = kube.New("node", account); err != nil {
		t.Fatal(err)
	}
	if i.failed(ctx, errors.New("it does not work")); asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

// A folder that was made for a file goes with it, wherever the installer was killed:
// before it had written the file, or after it had removed it.
func TestKilledBetweenFolderAndFile(t *testing.T) {
	for left, stays := range map[string]bool{"": false, ".wazero.toml.next": false, "another.toml": true} {
		dir := t.TempDir()
		main, folder := filepath.Join(dir, "config.toml"), filepath.Join(dir, "conf.d")
		text := "version = 3\nimports = [\"" + folder + "/*.toml\"]\n"
		if err := os.WriteFile(main, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		i := &installer{
			layout:  config.Layout{Dir: dir},
			host:    host.Host{Proc: t.TempDir(), Config: main, Settled: time.Millisecond, Patience: time.Millisecond},
			pending: filepath.Join(dir, "pending"),
		}
		changes, err := i.layout.Installation(2, "/opt/wazero/shim")
		if err != nil {
			t.Fatal(err)
		}
		_ = i.configure(context.Background(), changes) // nothing runs: it is undone, and still pending
		if _, err := os.Stat(folder); err == nil {
			t.Fatal("undone, and the folder is there")
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if left != "" {
			if err := os.WriteFile(filepath.Join(folder, left), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := i.tidy(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(folder); (err == nil) != stays {
			t.Errorf("with %q in it, the folder: %v", left, err)
		}
	}
}
