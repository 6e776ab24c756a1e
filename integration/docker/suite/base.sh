#!/bin/sh
# Copyright The containerd-shim-wazero authors.
# SPDX-License-Identifier: Apache-2.0
#
# Writes the files of a Debian image to stdout, as tar: what is installed here
# of the packages that hack/packages.sh asks for and of those that they need,
# and Go.
#
#   base.sh ROOT PACKAGE...    ROOT is the machine's file system
set -eu

root=$1
shift
cd "$root"

# Both answer for the root, whatever is mounted outside it. apt-cache also writes
# to the folder for temporary files, which a root that is only read has not.
# shellcheck disable=SC2016 # dpkg-query's own
system=$(chroot . dpkg-query -W -f '${Priority} ${Package}\n' | sed -n 's/^\(required\|important\) //p')
# shellcheck disable=SC2086 # a list of words
needed=$(apt-cache -o RootDir="$root" depends --recurse --installed --no-suggests --no-recommends \
	--no-conflicts --no-breaks --no-replaces --no-enhances "$@" $system)
packages=$(echo "$needed" | grep '^[a-z]' | sort -u)
{
	# Those that are not installed are names of several that would do.
	# shellcheck disable=SC2086 # a list of words
	chroot . dpkg-query -L $packages 2>/dev/null | sed -n 's,^/\(.\),\1,p' |
		grep -v -e '^usr/share/doc/' -e '^usr/share/man/' -e '^usr/share/locale/'
	# What installing has made: alternatives, settings, dpkg's own notes.
	find bin sbin lib lib64 usr -xdev -type l
	find etc var/lib/dpkg usr/local/go -xdev
	# /bin and others are links into /usr now, which packages need not know.
} | sed 's,^\(bin\|sbin\|lib\|lib32\|lib64\|libx32\)/,usr/&,' | sort -u | while read -r file; do
	if [ -e "$file" ] || [ -L "$file" ]; then echo "$file"; fi
done | tar -c --no-recursion -T -
