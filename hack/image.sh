#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds the image of the nodes' installer, without a registry, as an OCI image
# layout: hack/image.sh FILE NAME:TAG [ARCHITECTURE...]. The same tree gives the
# same bytes.
set -eu

out=${1:?file}
name=${2:?NAME:TAG}
shift 2
# The last three have no shim: there the installer says so.
[ $# -gt 0 ] || set -- amd64 arm64 ppc64le riscv64 s390x
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
version=${VERSION:-dev}
shim=containerd-shim-wazero-v1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # GOARCH, output, package
	CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false \
		-ldflags "-s -w -buildid= -X containerd-shim-wazero/shim/version.Version=$version" -o "$work/$1/$2" "$3"
}

for arch in "$@"; do
	build "$arch" wazero-installer ./deploy/installer
	case $arch in
	amd64 | arm64) build "$arch" $shim ./cmd/$shim ;;
	esac
done
mkdir -p "$(dirname "$out")"
go run ./hack/image -name "$name" -binaries "$work" -o "$out"
