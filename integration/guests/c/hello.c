// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

#include <stdio.h>

int main(void) {
	puts("hello from C");
	return 0;
}
