#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Compiles the Wasm services of examples/compose to build/example/*.wasm.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$root/build/example"
# All of them, as the Dockerfile has it: a test builds that without a network.
(cd "$root/examples/compose" && go mod download)
for name in api worker; do
	GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -C "$root/examples/compose" \
		-trimpath -buildvcs=false -ldflags=-s -o "$root/build/example/$name.wasm" "./$name"
done
