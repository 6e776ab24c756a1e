// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package kube labels the node that the pod is on, by the API server's REST and
// the pod's token.
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// Label is what says whether the node runs the runtime.
const Label = "io.containerd.wazero.v1/node"

// Account is where the kubelet puts a pod's token.
const Account = "/var/run/secrets/kubernetes.io/serviceaccount"

// ErrLabel is an answer of the API server that did not come or was a refusal.
var ErrLabel = errors.New("label the node")

const mostAnswer = 16 << 20 // bytes of a node's description

// Node is one node of the cluster.
type Node struct {
	address string // of the node's resource
	account string
	client  *http.Client
}

// Info is what the kubelet says of its node.
type Info struct {
	Architecture            string `json:"architecture"`
	KernelVersion           string `json:"kernelVersion"`
	ContainerRuntimeVersion string `json:"containerRuntimeVersion"`
}

// New is the node of a name, asked for as the kubelet tells its pods to.
func New(name, account string) (*Node, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if name == "" || host == "" || port == "" {
		return nil, fmt.Errorf("NODE_NAME and KUBERNETES_SERVICE_HOST are needed: run this as the pod of deploy/base: %w", errdefs.ErrFailedPrecondition)
	}
	ca, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("no certificate in %s/ca.crt: %w", account, errdefs.ErrInvalidArgument)
	}
	return &Node{
		address: "https://" + net.JoinHostPort(host, port) + "/api/v1/nodes/" + url.PathEscape(name) + "?fieldManager=wazero-installer",
		account: account,
		client: &http.Client{
			Timeout:   30 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		},
	}, nil
}

// Info asks for the node by a patch of nothing: the account may do no more.
func (n *Node) Info(ctx context.Context) (Info, error) { return n.patch(ctx, map[string]any{}) }

// Label sets the label; an empty value removes it.
func (n *Node) Label(ctx context.Context, value string) error {
	var set any
	if value != "" {
		set = value
	}
	_, err := n.patch(ctx, map[string]any{"metadata": map[string]any{"labels": map[string]any{Label: set}}})
	return err
}

func (n *Node) patch(ctx context.Context, patch map[string]any) (Info, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return Info{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, n.address, bytes.NewReader(body))
	if err != nil {
		return Info{}, err
	}
	token, err := os.ReadFile(filepath.Join(n.account, "token")) // it is renewed
	if err != nil {
		return Info{}, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Content-Type", "application/merge-patch+json")
	response, err := n.client.Do(request)
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrLabel, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrLabel, err)
	}
	if response.StatusCode != http.StatusOK {
		var status struct{ Message string }
		_ = json.Unmarshal(answer, &status)
		return Info{}, fmt.Errorf("%w: the API server answers %s: %s", ErrLabel, response.Status, status.Message)
	}
	var node struct {
		Status struct{ NodeInfo Info }
	}
	if err := json.Unmarshal(answer, &node); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrLabel, err)
	}
	return node.Status.NodeInfo, nil
}
