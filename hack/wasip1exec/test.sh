#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs Go's own tests as guests of the sandbox's WASI host, and prints a table:
# hack/wasip1exec/test.sh [PACKAGE...]
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$root" && CGO_ENABLED=0 go build -o "$work/wasip1exec" ./hack/wasip1exec)

[ $# -gt 0 ] || set -- os io/fs path/filepath time net bufio encoding/json compress/gzip crypto/sha256 sort strings

failed=0
cd "$(go env GOROOT)/src"
for package; do
	if GOOS=wasip1 GOARCH=wasm go test -count=1 -v -exec "$work/wasip1exec" "$package" >"$work/log" 2>&1; then
		result=ok
	else
		result=FAILED failed=1
	fi
	printf '%-16s %-6s %5d passed %4d failed %4d skipped\n' "$package" "$result" \
		"$(grep -c '^ *--- PASS' "$work/log")" "$(grep -c '^ *--- FAIL' "$work/log")" "$(grep -c '^ *--- SKIP' "$work/log")"
	[ "$result" = ok ] || grep -A20 -E '^ *--- FAIL|^panic|^FAIL' "$work/log" | head -n 100
done
exit $failed
