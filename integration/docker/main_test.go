// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
)

func TestMain(m *testing.M) { engine.Main(m, "rootless") }
