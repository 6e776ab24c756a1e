#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian or Ubuntu packages that are missing:
#
#	hack/packages.sh demo    for the real stack and the guests
#	hack/packages.sh         for the linters and all tests as well
set -eu

packages="ca-certificates curl git make gcc libc6-dev pkg-config libseccomp-dev
iproute2 iptables procps util-linux busybox-static
clang lld wasi-libc libclang-rt-14-dev-wasm32
rustc libstd-rust-dev-wasm32 wabt"
[ "${1:-}" = demo ] || packages="$packages
binaryen cargo containernetworking-plugins nftables shellcheck
postgresql redis-server"

missing=
for package in $packages; do
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
