// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package wasi

// Syscalls are the system calls by which the core serves a guest, sockets and
// name lookup aside (package net lists its own): what a seccomp filter must let
// through beside the needs of the Go runtime. The names are those of amd64; on
// arm64 newfstatat is called fstatat.
var Syscalls = []string{
	// Streams and files: packages rawio, stdio and fs.
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev",
	"openat2", "close", "lseek", "fstat", "newfstatat", "getdents64", "fcntl", "ioctl",
	"mkdirat", "unlinkat", "renameat2", "symlinkat", "readlinkat", "linkat", "utimensat",
	"ftruncate", "fallocate", "fadvise64", "fsync", "fdatasync",
	// Waiting, time and the rest: packages poll, clock and random, and the fronts.
	"ppoll", "clock_gettime", "clock_getres", "getrandom", "sched_yield",
}
