#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian or Ubuntu packages that building the real stack, the
# guests and the tests need; does nothing where all are there.
set -eu

packages="ca-certificates curl git gcc libc6-dev pkg-config libseccomp-dev
iproute2 iptables nftables procps util-linux busybox-static
containernetworking-plugins shellcheck make
clang lld wasi-libc libclang-rt-14-dev-wasm32
rustc libstd-rust-dev-wasm32 wabt binaryen"

missing=
for package in $packages "$@"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "packages.sh: this is no Debian or Ubuntu machine; please install:$missing" >&2
	exit 1
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
