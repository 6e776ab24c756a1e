#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Shows the shim at work on a fresh Debian or Ubuntu machine: installs missing
# packages, builds a containerd and Docker of its own, the shim and samples in
# C, Rust and Go, runs them through ctr beside runc, brings the Compose stack of
# examples up and down, and cleans up.
set -eu

cd "$(dirname "$0")/.."

version=$(go env GOVERSION 2>/dev/null || echo none)
case $version in
go1.2[6-9]* | go1.[3-9][0-9]* | go[2-9]*) ;;
*)
	echo "make demo needs Go 1.26 or later on the PATH (found: $version); please install it and run make demo again." >&2
	exit 1
	;;
esac

hack/packages.sh demo
hack/stack.sh containerd-2.4 runc docker
hack/guests.sh
hack/example.sh
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o build/containerd-shim-wazero-v1 ./cmd/containerd-shim-wazero-v1
CGO_ENABLED=0 go build -trimpath -o build/demo ./hack/demo

# Namespaces and mounts need root; all of them end with the demo.
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
exec $sudo build/demo
