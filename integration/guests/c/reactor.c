// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// A reactor: no main, but _initialize (which runs the constructor) and the
// exported functions foo and fail.

#include <stdio.h>
#include <stdlib.h>

static int initialized;

__attribute__((constructor)) static void initialize(void) { initialized++; }

__attribute__((export_name("foo"))) void foo(void) {
	printf("foo, initialized %d time(s)\n", initialized);
	fflush(stdout);
}

__attribute__((export_name("fail"))) void fail(void) { exit(7); }
