// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

const parentRole = "SANDBOX_TEST_PARENT"

func parent() {}
