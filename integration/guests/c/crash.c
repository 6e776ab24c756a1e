// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Traps three calls deep; built with DWARF, so that the backtrace can name
// functions and source lines.

#include <stdio.h>

__attribute__((noinline)) static void inner(int n) {
	printf("about to trap\n");
	fflush(stdout);
	if (n)
		__builtin_trap();
}

__attribute__((noinline)) static void middle(int n) { inner(n + 1); }

int main(int argc, char **argv) {
	middle(argc);
	return 0;
}
