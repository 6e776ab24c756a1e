// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Client asks the API server as the administrator, without a kubectl's start.
type Client struct {
	t    testing.TB
	http *http.Client
}

// Client makes one.
func (c *Cluster) Client(t testing.TB) *Client {
	t.Helper()
	ca, err := os.ReadFile(c.file("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &Client{t, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 4}}}
}

// Do sends a request, which must succeed; its answer is to be closed.
func (c *Client) Do(method, path, body string) io.ReadCloser {
	c.t.Helper()
	req, err := http.NewRequest(method, "https://127.0.0.1:"+apiPort+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Content-Type", "application/yaml")
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		c.t.Fatalf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return res.Body
}

// PodEvent is a change of a pod, as it came.
type PodEvent struct {
	At            time.Time
	Name          string
	Ready, Delete bool
}

// WatchPods has the changes of a namespace's pods come until the test ends.
func (c *Client) WatchPods(namespace string) <-chan PodEvent {
	c.t.Helper()
	stream := c.Do(http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods?watch=1", "")
	c.t.Cleanup(func() { stream.Close() })
	events := make(chan PodEvent, 10000)
	go func() {
		defer close(events)
		for decoder := json.NewDecoder(stream); ; {
			event, err := nextPod(decoder)
			if err != nil {
				return // the test has ended
			}
			events <- event
		}
	}()
	return events
}

func nextPod(decoder *json.Decoder) (PodEvent, error) {
	var event struct {
		Type   string
		Object struct {
			Metadata struct{ Name string }
			Status   struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := decoder.Decode(&event); err != nil {
		return PodEvent{}, fmt.Errorf("watch pods: %w", err)
	}
	pod := PodEvent{At: time.Now(), Name: event.Object.Metadata.Name, Delete: event.Type == "DELETED"}
	for _, condition := range event.Object.Status.Conditions {
		if condition.Type == "Ready" && condition.Status == "True" {
			pod.Ready = true
		}
	}
	return pod, nil
}
