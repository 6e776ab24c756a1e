#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzz target for a while, two at a time: hack/fuzz.sh TIME [NAME]
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

if [ "${1:-}" = --one ]; then
	time=$2 file=$3 target=$4
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	# Minimizing has a bound of its own: a minute by default, and a target of
	# slow runs would spend it on each input that it finds interesting.
	if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x \
		-parallel 1 "$(dirname "$file")" </dev/null >"$log" 2>&1; then
		# The go command may find its own time limit in the way of the last
		# run and call it a failure. A true one leaves its input behind.
		if ! grep -q '^    context deadline exceeded' "$log" || grep -q 'Failing input' "$log"; then
			cat "$log" >&2
			exit 255 # no further target is begun
		fi
		echo "ok" >>"$log"
	fi
	echo "$target: $(tail -n 1 "$log")"
	exit
fi

grep -roE --include='*_test.go' "^func ${2:-Fuzz}[A-Za-z0-9_]*" . | sort -u |
	sed 's/:func / /' | xargs -n 2 -P 2 "$0" --one "${1:-10s}"
