// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is asked, and what becomes of a refusal; the API server itself is asked in
// integration/kubernetes.
func TestNode(t *testing.T) {
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("Authorization")+" "+string(body))
		if strings.Contains(string(body), "refuse") {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind": "Status", "message": "only its own"}`)
			return
		}
		_, _ = io.WriteString(w, `{"status": {"nodeInfo": {"architecture": "arm64", "kernelVersion": "6.1", "containerRuntimeVersion": "containerd://2.4.2"}}}`)
	}))
	defer server.Close()
	account := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, text := range map[string]string{"ca.crt": string(ca), "token": "secret\n"} {
		if err := os.WriteFile(filepath.Join(account, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(address.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	node, err := New("node/1", account)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if info, err := node.Info(ctx); err != nil || info != (Info{"arm64", "6.1", "containerd://2.4.2"}) {
		t.Errorf("%+v, %v", info, err)
	}
	for _, value := range []string{"ready", ""} {
		if err := node.Label(ctx, value); err != nil {
			t.Error(err)
		}
	}
	if err := node.Label(ctx, "refuse"); !errors.Is(err, ErrLabel) || !strings.Contains(err.Error(), "403 Forbidden: only its own") {
		t.Errorf("a refusal is %v", err)
	}
	request := "PATCH /api/v1/nodes/node/1 application/merge-patch+json Bearer secret "
	for i, want := range []string{`{}`, `{"metadata":{"labels":{"` + Label + `":"ready"}}}`, `{"metadata":{"labels":{"` + Label + `":null}}}`} {
		if asked[i] != request+want {
			t.Errorf("asked %s", asked[i])
		}
	}

	if _, err := New("", account); err == nil {
		t.Error("a node without a name")
	}
	if err := os.WriteFile(filepath.Join(account, "ca.crt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New("node1", account); err == nil {
		t.Error("an authority without a certificate")
	}
}
