#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# build.sh OUTPUT: compiles the Rust guests to OUTPUT/*.wasm with Debian's rustc
# and cargo, which have the target wasm32-wasi. That cargo reads no sparse
# registry, so the first one on the PATH fetches the sources that Cargo.lock names.
set -eu

mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
vendor=$out/vendor
[ -d "$vendor" ] || {
	rm -rf "$vendor.new"
	cargo vendor --quiet --locked --versioned-dirs "$vendor.new" >/dev/null
	mv "$vendor.new" "$vendor"
}
RUSTC=/usr/bin/rustc CARGO_TARGET_DIR=$out/target /usr/bin/cargo build --quiet --release --offline --locked \
	--target wasm32-wasi \
	--config 'source.crates-io.replace-with="vendored"' \
	--config "source.vendored.directory=\"$vendor\""
cp "$out"/target/wasm32-wasi/release/*.wasm "$out/"
