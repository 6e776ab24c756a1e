#!/bin/busybox sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# The first program of the guest of hack/qemu.sh: makes its root of the
# machine's, which it shares for reading, and memory over it, and hands over to
# systemd. Where a step fails the kernel panics, and QEMU ends.
# shellcheck shell=dash
set -eu

/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
export PATH=/bin
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/modules/$module.ko"
done </modules/order

share=trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000
mount -t 9p -o $share machine /machine
mount -t tmpfs memory /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/machine,upperdir=/memory/upper,workdir=/memory/work overlay /root

cd /root
# Docker's mark has systemd take the guest for a container.
rm -f .dockerenv
: >etc/fstab
mkdir -p repo proc sys dev run var/lib var/tmp
mount -t 9p -o $share repository repo
# The kernel asks for what else it needs, a bridge or nftables, by modprobe.
rm -rf usr/lib/modules
ln -s /repo/build/kernel/lib/modules usr/lib/modules
[ -e usr/sbin/modprobe ] || ln -s /bin/busybox usr/sbin/modprobe
# An overlay cannot be the upper layer of another: containerd needs better.
mount -t tmpfs memory var/lib
mount -t tmpfs memory var/tmp
cp /units/*.service etc/systemd/system/
for unit in dbus.service dbus.socket; do
	mkdir -p etc/systemd/system/$unit.d
	printf '[Unit]\nDefaultDependencies=no\n' >etc/systemd/system/$unit.d/early.conf
done

umount /sys /proc
mount --move /dev dev
exec switch_root /root /lib/systemd/systemd
