#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Writes the release into a folder: an archive for each architecture, and
# SHA256SUMS. The same tree gives the same bytes, wherever it lies.
set -eu

out=${1:?folder}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
version=${VERSION:-dev}
shim=containerd-shim-wazero-v1
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for arch in amd64 arm64; do
	name=$shim-$version-linux-$arch
	mkdir -p "$work/$name"
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -buildvcs=false \
		-ldflags "-s -w -buildid= -X containerd-shim-wazero/shim/version.Version=$version" -o "$work/$name/$shim" ./cmd/$shim
	for document in README.md LICENSE CHANGELOG.md; do
		[ ! -f $document ] || install -m 0644 $document "$work/$name/"
	done
	tar --create --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner \
		--mode=go-w --mtime="@$epoch" "$name" | gzip -9n >"$out/$name.tar.gz"
done
(cd "$out" && sha256sum -- *.tar.gz >SHA256SUMS)
cat "$out/SHA256SUMS"
