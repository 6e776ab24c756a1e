// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// What every test of this folder uses: a check that says where it failed.
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, \
				#condition, strerror(errno));                  \
			exit(1);                                               \
		}                                                              \
	} while (0)

// FAILS checks that a call fails with an errno.
#define FAILS(call, code)                \
	do {                             \
		errno = 0;               \
		CHECK((call) == -1);     \
		CHECK(errno == (code));  \
	} while (0)

#endif
