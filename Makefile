# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0

SHIM    := containerd-shim-wazero-v1
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PREFIX  ?= /usr/local
DESTDIR ?=

export CGO_ENABLED ?= 0
BUILD := go build -trimpath -buildvcs=false \
	-ldflags "-s -w -X containerd-shim-wazero/shim/version.Version=$(VERSION)"

# What the race detector is run on: packages of goroutines and locks. The
# others fork, map machine code or load seccomp filters, which it cannot do.
RACE := ./shim/... ./oci/... ./integration/image ./sandbox/control ./sandbox/cache \
	./sandbox/wasi ./sandbox/wasi/descriptor ./sandbox/wasi/fs ./sandbox/wasi/net ./sandbox/wasi/policy \
	./sandbox/wasi/poll ./sandbox/wasi/resolve ./sandbox/wasi/stdio

FUZZTIME ?= 10s

.PHONY: build install image dist dist-check deps stack guests lint demo clean
.PHONY: test test-unit test-containerd test-cgroup2 test-docker test-kubernetes test-wasi-go test-full fuzz bench

build:
	$(BUILD) -o build/$(SHIM) ./cmd/$(SHIM)

install: build
	install -D -m 0755 build/$(SHIM) $(DESTDIR)$(PREFIX)/bin/$(SHIM)

# The nodes' installer for Kubernetes (deploy/), as an OCI image layout: push it
# to a registry of yours, or import it on the nodes.
IMAGE ?= localhost/wazero-installer:dev
image:
	VERSION=$(VERSION) hack/image.sh build/wazero-installer.tar $(IMAGE)

# Archives for both architectures with their checksums; the same tree gives
# the same bytes.
dist:
	VERSION=$(VERSION) hack/dist.sh dist

dist-check:
	VERSION=$(VERSION) hack/dist.sh build/dist-a
	VERSION=$(VERSION) hack/dist.sh build/dist-b
	diff -r build/dist-a build/dist-b

# What tests and linters need of the machine, and builds of the real stack.
deps:
	hack/packages.sh

stack: deps
	hack/stack.sh containerd-2.4 containerd-1.7 runc

guests: deps
	hack/guests.sh

lint: deps
	hack/lint.sh

# Everything once, with small counts.
test: dist-check fuzz test-unit test-containerd test-docker test-kubernetes test-cgroup2

test-unit: deps guests
	CGO_ENABLED=1 go test -race $(RACE)
	go test $$(go list ./... | grep -v -E '/(integration/guests|hack)/')
	@# go test says nothing of what it skips
	@test -d "$${WASI_TESTSUITE:-../shared/conformance/wasi-testsuite-p1}" || \
		echo "NOT RUN: the WASI test suite; name a checkout of WebAssembly/wasi-testsuite by WASI_TESTSUITE" >&2

test-containerd: deps stack guests
	go test -tags integration -count 1 -p 1 -timeout 30m $$(go list ./integration/... | grep -v -E '/(docker|compose|kubernetes|critest)')

test-docker: deps guests
	hack/stack.sh docker containerd-2.4 runc rootless
	hack/example.sh
	go test -tags integration -count 1 -p 1 -timeout 30m ./integration/docker/... ./integration/compose
	hack/demo.sh >build/demo.log || { cat build/demo.log; exit 1; }

test-kubernetes: deps guests
	hack/stack.sh kubernetes containerd-2.4 runc crictl critest
	hack/example.sh
	go test -tags integration -count 1 -p 1 -timeout 30m ./integration/kubernetes/... ./integration/critest

# The user's machine, emulated: cgroup v2, systemd, AppArmor.
test-cgroup2: deps guests
	hack/test-cgroup2.sh

# Go's own tests as guests of the WASI host. Part of test-full.
test-wasi-go:
	hack/wasip1exec/test.sh

# The large counts, soaks and version matrices; its report is
# docs/test-report.md.
test-full: deps stack guests
	hack/test-full.sh

fuzz: deps
	hack/fuzz.sh $(FUZZTIME)

# Figures beside runc; the tables of docs/benchmarks.md.
bench: deps stack guests
	go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v /integration)
	go test -tags bench -count 1 -timeout 2h ./integration/bench -write

demo:
	hack/demo.sh

clean:
	rm -rf build dist
