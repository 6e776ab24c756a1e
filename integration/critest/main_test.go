// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package critest

import (
	"testing"

	"containerd-shim-wazero/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m, "critest") }
