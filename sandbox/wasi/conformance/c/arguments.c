// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Arguments and environment, as they are.
#include <unistd.h>

#include "check.h"

extern char **environ;

int main(int argc, char **argv) {
	CHECK(argc == 5);
	CHECK(strcmp(argv[1], "") == 0 && strcmp(argv[2], "two words") == 0);
	CHECK(strcmp(argv[3], "\xc3\xa4\"'\\\n") == 0 && strlen(argv[4]) == 10);
	CHECK(strcmp(getenv("KEY"), "value=with=signs") == 0 && strcmp(getenv("EMPTY"), "") == 0);
	int n = 0;
	for (char **e = environ; *e != NULL; e++)
		n++;
	CHECK(n == 2);
	fputs("out", stdout);
	fputs("err", stderr);
	return 7;
}
