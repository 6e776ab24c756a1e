#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds what is tested on the machine of hack/qemu.sh, and runs it there.
#
#   hack/test-cgroup2.sh           all of it
#   hack/test-cgroup2.sh REGEXP    the tests of that name
set -eu

cd "$(dirname "$0")/.."
out=build/machine
mkdir -p $out
export CGO_ENABLED=0
hack/stack.sh docker containerd-2.4 runc crictl
go build -trimpath -buildvcs=false -ldflags "-s -w" -o $out/ ./cmd/containerd-shim-wazero-v1
go test -c -trimpath -tags cgroup2 -ldflags "-s -w" -o $out/machine.test ./integration/machine
go test -c -trimpath -ldflags "-s -w" -o $out/cgroup.test ./sandbox/cgroup

# A quiet machine takes a third of this.
export QEMU_TIMEOUT="${QEMU_TIMEOUT:-900}"
# shellcheck disable=SC2016 # the guest's own
exec hack/qemu.sh sh -c '
	run() {
		echo "== $1" && cd "/repo/$1" && shift
		"$@" -test.v -test.timeout 800s
	}
	run integration/machine /repo/build/machine/machine.test -test.run "$1" &&
	run sandbox/cgroup /repo/build/machine/cgroup.test -test.run "$1"
' sh "${1:-.}"
