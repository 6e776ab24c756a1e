#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs everything with the large counts and writes docs/test-report.md.
#
#   hack/test-full.sh            all parts
#   hack/test-full.sh REGEXP     the integration tests of that name
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
mkdir -p build
out=build/test-full.json
: >"$out"
hack/stack.sh containerd-2.4 containerd-2.3 containerd-2.2 containerd-2.0 containerd-1.7 runc crictl critest docker kubernetes conformance nerdctl rootless
hack/example.sh
go mod download # all of them, for Dockerfile.test, which is built without a network

failed=0
run() {
	TEST_FULL=1 go test -json -count 1 -p 1 -timeout 58m "$@" >>"$out" || failed=1
}
[ $# -gt 0 ] || CGO_ENABLED=0 run ./oci/... ./shim/... ./sandbox/...
CGO_ENABLED=0 run -tags integration ${1:+-run "$1"} ./integration/...
if [ $# = 0 ]; then
	hack/wasip1exec/test.sh || failed=1
	hack/demo.sh >build/demo.log || failed=1
	hack/test-cgroup2.sh >build/test-cgroup2.log || failed=1
	go tool test2json -p containerd-shim-wazero/integration/machine <build/test-cgroup2.log >>"$out"
fi
go run ./hack/report <"$out" >docs/test-report.md
exit $failed
