#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian or Ubuntu packages that are missing:
#
#	hack/packages.sh demo     for the real stack and the guests
#	hack/packages.sh          for the linters and all tests as well
#	hack/packages.sh list     none: names those of all tests
#	hack/packages.sh kernel   none: unpacks Debian's kernel to build/kernel,
#	                          for QEMU, and leaves the machine's boot alone
set -eu

cd "$(dirname "$0")/.."
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

need_apt() {
	command -v apt-get >/dev/null && return
	echo "packages.sh: this is no Debian or Ubuntu machine; please install: $*" >&2
	exit 1
}

# newest_kernel is the package that Debian's linux-image-amd64 stands for.
newest_kernel() {
	apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

kernel() {
	[ ! -f build/kernel/stamp ] || return 0
	need_apt "qemu-system-x86 and a kernel in build/kernel"
	dir=build/kernel.new
	rm -rf build/kernel build/kernel.new
	mkdir -p $dir
	# What is listed may be gone from the mirror, or nothing be listed.
	if ! (cd $dir && apt-get download -qq "$(newest_kernel)") 2>/dev/null; then
		$sudo apt-get update -qq
		package=$(newest_kernel)
		if [ -z "$package" ]; then
			echo "packages.sh: there is no package linux-image-amd64; the machine in QEMU needs Debian's kernel" >&2
			exit 1
		fi
		(cd $dir && apt-get download -qq "$package")
	fi
	dpkg-deb -x $dir/linux-image-*.deb $dir
	basename $dir/linux-image-*.deb >$dir/stamp
	rm -rf build/kernel.new/*.deb build/kernel.new/usr
	mv $dir build/kernel
}

if [ "${1:-}" = kernel ]; then
	kernel
	exit
fi

packages="ca-certificates curl git make gcc libc6-dev pkg-config libseccomp-dev
iproute2 iptables procps util-linux busybox-static
clang lld wasi-libc libclang-rt-14-dev-wasm32
rustc libstd-rust-dev-wasm32 wabt
postgresql redis-server"
[ "${1:-}" = demo ] || packages="$packages
binaryen cargo containernetworking-plugins netcat-openbsd nftables shellcheck
qemu-system-x86 systemd dbus apparmor slirp4netns tini uidmap"

if [ "${1:-}" = list ]; then
	echo "$packages"
	exit
fi

missing=
for package in $packages; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

need_apt "$missing"
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
