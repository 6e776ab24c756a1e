#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Assembles the modules of the tests from text, with wabt's wat2wasm.
set -eu
cd "$(dirname "$0")"
for source in *.wat; do
	wat2wasm --enable-all --debug-names "$source" -o "${source%.wat}.wasm"
done
clang --target=wasm32 -O0 -g -nostdlib -ffile-prefix-map="$PWD"=. -Wl,--no-entry source.c -o source.wasm
