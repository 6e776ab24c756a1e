// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"google.golang.org/protobuf/proto"
)

// Remove kills what a dead shim has left of a Linux container and clears it
// away, and returns how init ended, by `delete` of the shim for runc. It is
// idempotent.
func Remove(ctx context.Context, namespace, address, id, bundle string) (*taskapi.DeleteResponse, error) {
	if err := Installed(); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, shimProgram, "-namespace", namespace, "-address", address, "-id", id, "-bundle", bundle, "delete")
	cmd.Dir = bundle
	var complaint strings.Builder
	cmd.Stderr = &complaint
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s delete: %w: %.1024s", shimProgram, err, strings.TrimSpace(complaint.String()))
	}
	resp := new(taskapi.DeleteResponse)
	if err := proto.Unmarshal(answer, resp); err != nil {
		return nil, fmt.Errorf("%s delete: read its answer: %w", shimProgram, err)
	}
	return resp, nil
}
