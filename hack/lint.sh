#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# gofmt, vet for both architectures, staticcheck, shellcheck, and the file
# header.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
export CGO_ENABLED=0
hack/stack.sh lint

sources=$(git ls-files --cached --others --exclude-standard -- '*.go' '*.c' '*.h' '*.rs' '*.wat' '*.sh' \
	Makefile .ci/run ':!:*/testdata/*')
echo "gofmt"
unformatted=$(echo "$sources" | grep '\.go$' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "please gofmt: $unformatted" >&2
	exit 1
fi

echo "headers"
bare=$(for file in $sources; do
	if [ -f "$file" ] && ! head -n 5 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
		echo "$file"
	fi
done)
if [ -n "$bare" ]; then
	echo "no SPDX-License-Identifier in the first lines of: $bare" >&2
	exit 1
fi

for arch in amd64 arm64; do
	echo "go vet for $arch"
	GOARCH=$arch go vet ./...
	GOARCH=$arch go vet -tags integration,bench ./integration/...
done

echo "staticcheck"
build/stack/lint/bin/staticcheck -tags integration,bench ./...

echo "shellcheck"
echo "$sources" | grep '\.sh$' | xargs shellcheck .ci/run
