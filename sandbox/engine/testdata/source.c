// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Traps two calls deep, in a module with source lines.

__attribute__((noinline)) static int inner(volatile int *p) {
	if (*p)
		__builtin_trap();
	return 1;
}

static volatile int one = 1;

__attribute__((export_name("_start"))) void start(void) {
	one += inner(&one);
}
