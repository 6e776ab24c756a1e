#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzz target for a while: hack/fuzz.sh TIME [NAME]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
time=${1:-10s}
wanted=${2:-Fuzz}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort -u |
	while IFS=: read -r file function; do
		target=${function#func }
		case $target in "$wanted"*) ;; *) continue ;; esac
		if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")" </dev/null >"$log" 2>&1; then
			cat "$log" >&2
			exit 1
		fi
		echo "$target: $(tail -n 1 "$log")"
	done
