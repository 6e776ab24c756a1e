#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command on the user's machine, in QEMU: Debian's kernel, cgroup v2,
# systemd as init, AppArmor. Without KVM, so that it runs anywhere.
#
#   hack/qemu.sh COMMAND [ARGUMENT]...
#
# The guest sees this machine's files, and this repository as /repo, where the
# command starts; it can change neither, what it writes stays in its memory.
# The command's output and status are this script's. A guest that takes more
# than QEMU_TIMEOUT seconds (280) is ended with status 124.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
limit=${QEMU_TIMEOUT:-280}
work=$root/build/qemu
kernel=$root/build/kernel

if [ "$(uname -m)" != x86_64 ]; then
	echo "qemu.sh: the guest is this machine's files under an amd64 kernel; this is $(uname -m)" >&2
	exit 1
fi
"$root/hack/packages.sh" kernel
mkdir -p "$work"
exec 9>"$work/.lock" # one guest at a time
flock 9

# initrd makes the guest's first file system: busybox, the kernel modules that
# reach the shares, and what hack/qemu has.
initrd() {
	dir=$work/initrd
	rm -rf "$dir"
	mkdir -p "$dir/bin" "$dir/modules" "$dir/units" "$dir/proc" "$dir/sys" "$dir/dev" \
		"$dir/machine" "$dir/memory" "$dir/root"
	cp /bin/busybox "$dir/bin/"
	install -m 0755 "$root/hack/qemu/init.sh" "$dir/init"
	cp "$root/hack/qemu/command.service" "$dir/units/"
	for modules in "$kernel"/lib/modules/*; do
		[ -f "$modules/modules.dep" ] || busybox depmod -b "$kernel" "$(basename "$modules")"
	done
	for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
		netfs fscache 9pnet 9pnet_virtio 9p overlay; do
		file=$(find "$kernel/lib/modules" -name "$module.ko" -o -name "$module.ko.xz")
		case $file in
		'') continue ;; # the kernel has it built in
		*.xz) busybox xzcat "$file" >"$dir/modules/$module.ko" ;;
		*) cp "$file" "$dir/modules/" ;;
		esac
		echo "$module" >>"$dir/modules/order"
	done
	(cd "$dir" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$work/initrd.img"
}

# command_file is what the guest runs. Its last line says how that ended.
command_file() {
	echo 'stty -F /dev/ttyS1 -opost'
	echo 'export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
	echo 'cd /repo'
	for word in "$@"; do
		printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"
	done
	echo
	# shellcheck disable=SC2016 # the guest's own
	echo 'echo "the command ended with $?"'
}

initrd
command_file "$@" >"$work/command"
: >"$work/console.log"
: >"$work/output.log"

# -cpu: an old model, whose vector instructions are quick to emulate.
boot() {
	timeout --foreground -k 5 "$limit" qemu-system-x86_64 \
		-accel tcg,thread=multi -M q35 -cpu Nehalem -smp 2 -m 2048 \
		-nodefaults -display none -no-reboot \
		-kernel "$(echo "$kernel"/boot/vmlinuz-*)" -initrd "$work/initrd.img" \
		-virtfs "local,path=/,mount_tag=machine,$share" \
		-virtfs "local,path=$root,mount_tag=repository,$share" \
		-serial "file:$work/console.log" \
		-chardev "stdio,id=output,signal=off,logfile=$work/output.log" -serial chardev:output \
		-append "console=ttyS0 quiet loglevel=4 panic=-1 cgroup_no_v1=all $systemd" </dev/null
}
share=security_model=none,readonly=on,multidevs=remap
systemd="systemd.unit=command.service systemd.unified_cgroup_hierarchy=1
systemd.show_status=0 systemd.log_target=kmsg systemd.default_standard_output=null"

{
	status=0
	boot || status=$?
	echo $status >"$work/status"
} 9>&- | grep --line-buffered -v '^the command ended with ' || true

ended=$(sed -n 's/^the command ended with //p' "$work/output.log" | tail -n 1)
[ -z "$ended" ] || exit "$ended"
status=$(cat "$work/status")
if [ "$status" = 124 ]; then
	echo "qemu.sh: the guest took more than $limit s" >&2
else
	echo "qemu.sh: the guest ended before the command did; QEMU's status is $status" >&2
fi
echo "the end of its console ($work/console.log):" >&2
tail -n 30 "$work/console.log" >&2
[ "$status" != 0 ] || status=1
exit "$status"
