// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/shim/bootstrap"
	"containerd-shim-wazero/shim/record"
)

// TestDeleteLinux: the answer about a Linux container is that of the shim for runc.
func TestDeleteLinux(t *testing.T) {
	dir, bundle := t.TempDir(), t.TempDir()
	t.Setenv("PATH", dir)
	for name, script := range map[string]string{
		"runc":                    "#!/bin/sh\n",
		"containerd-shim-runc-v2": "#!/bin/sh\nprintf '\\010\\052\\020\\211\\001\\032\\002\\010\\007'\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := record.Save(bundle, record.Record{Linux: true}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	inv := &bootstrap.Invocation{ID: "c1", Namespace: "ns", Bundle: bundle}
	if err := bootstrap.Delete(t.Context(), inv, remove, &out); err != nil {
		t.Fatal(err)
	}
	var resp taskapi.DeleteResponse
	if err := proto.Unmarshal(out.Bytes(), &resp); err != nil {
		t.Fatal(err)
	}
	if resp.Pid != 42 || resp.ExitStatus != 137 || resp.ExitedAt.GetSeconds() != 7 {
		t.Errorf("it answers %v", &resp)
	}
}
