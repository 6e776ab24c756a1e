#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Compiles the guests of the tests, from C, Rust, Go and text, to
# build/guests/*.wasm, and those for Kubernetes to build/guests/kubernetes; only
# what is older than its source.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
script=$root/hack/guests.sh
source=$root/integration/guests
out=$root/build/guests
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9

# stale OUTPUT SOURCE... says whether OUTPUT has to be built.
stale() {
	output=$out/$1.wasm
	shift
	for input in "$@" "$script"; do
		[ -n "$(find "$output" -newer "$input" 2>/dev/null)" ] || return 0
	done
	return 1
}

cc() {
	clang --target=wasm32-wasi --sysroot=/usr -std=gnu11 -Wall -Werror -O2 "$@" -o "$output.new"
	mv "$output.new" "$output"
}

# Debian's own rustc has the target; a rustup one on the PATH may not.
rust() {
	/usr/bin/rustc --target wasm32-wasi --edition 2021 -C opt-level=2 -C strip=debuginfo "$@" -o "$output.new"
	mv "$output.new" "$output"
}

cd "$source"
for name in hello openrel; do
	if stale $name-c c/$name.c; then cc -s c/$name.c; fi
	if stale $name-rust rust/$name.rs; then rust rust/$name.rs; fi
	if stale $name-go go/$name/main.go; then
		GOOS=wasip1 GOARCH=wasm go build -C "$root" -trimpath -buildvcs=false \
			-ldflags=-s -o "$output" ./integration/guests/go/$name
	fi
done
for name in idle copy; do
	if stale $name-go go/$name/main.go; then
		GOOS=wasip1 GOARCH=wasm go build -C "$root" -trimpath -buildvcs=false \
			-ldflags=-s -o "$output" ./integration/guests/go/$name
	fi
done
if [ -z "$(find "$out/copy-linux" -newer go/copy/main.go 2>/dev/null)" ]; then
	CGO_ENABLED=0 go build -C "$root" -trimpath -buildvcs=false -ldflags=-s -o "$out/copy-linux" ./integration/guests/go/copy
fi
# A guest with sockets, a module of its own, and the same for Linux.
mkdir -p "$root/build/guests-net"
net=$root/integration/guests-net/gonet
if stale ../guests-net/gonet "$net/main.go" "$net/sockets_wasip1.go" "$net/sockets_linux.go"; then
	CGO_ENABLED=0 GOWORK=off go build -C "$net" -trimpath -buildvcs=false -ldflags=-s -o "$out/../guests-net/gonet-linux" .
	GOOS=wasip1 GOARCH=wasm GOWORK=off go build -C "$net" -trimpath \
		-buildvcs=false -tags getaddrinfo "-ldflags=-s -w" -o "$output" .
fi
net=$root/integration/guests-net/hello
if stale ../guests-net/hello "$net/main.go" "$net/listen_wasip1.go"; then
	GOOS=wasip1 GOARCH=wasm GOWORK=off go build -C "$net" -trimpath -buildvcs=false -ldflags=-s -o "$output" .
	CGO_ENABLED=0 GOWORK=off go build -C "$net" -trimpath -buildvcs=false -ldflags=-s -o "$out/../guests-net/hello-linux" .
fi
if stale box c/box*; then cc -s c/box*.c; fi
mkdir -p "$out/kubernetes"
if stale kubernetes/tar "$root/examples/tar/main.go"; then
	GOOS=wasip1 GOARCH=wasm go build -C "$root" -trimpath -buildvcs=false -ldflags=-s -o "$output" ./examples/tar
fi
web=$root/integration/guests-net/web
if stale kubernetes/web "$web/main.go" "$web/go.mod"; then
	GOOS=wasip1 GOARCH=wasm go build -C "$web" -trimpath -buildvcs=false -ldflags=-s -o "$output" .
fi
box=$out/box-linux
if [ -z "$(find "$box" -newer c/box.c -newer c/box_files.c -newer c/box_process.c -newer c/box_streams.c 2>/dev/null)" ]; then
	gcc -static -O2 -s -Wall -Wno-return-type c/box*.c -o "$box.new"
	mv "$box.new" "$box"
fi
for name in escape reach; do
	if stale $name c/$name.c; then cc -s c/$name.c; fi
done
if stale crash c/crash.c; then cc -g -O0 "-ffile-prefix-map=$source=." c/crash.c; fi
if stale reactor c/reactor.c; then cc -s -mexec-model=reactor c/reactor.c; fi
if stale panic-rust rust/panic.rs; then rust rust/panic.rs; fi
for file in wat/*.wat; do
	name=$(basename "$file" .wat)
	[ "$name" != hello ] || name=hello-wat
	if stale "$name" "$file"; then wat2wasm "$file" -o "$output"; fi
done
