// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// box is many small programs in one module:
//
//	box.wasm mkdir /d , write /d/f hello , cat /d/f
//
// runs one after the other, parted by a lone ",", until one fails; its exit
// status is the last one's. "try" before a command prints its error to stdout
// and goes on. It also builds for Linux, for tests that compare the two.

#include "box.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int all_argc;
char **all_argv;

static int trying;

int fail(const char *what) {
	FILE *to = trying ? stdout : stderr;
	fprintf(to, "box: %s: %s\n", what, strerror(errno));
	return 1;
}

long long number(int argc, char **argv, int index, long long otherwise) {
	return index < argc ? strtoll(argv[index], NULL, 10) : otherwise;
}

int write_all(int fd, const void *data, unsigned long size) {
	const char *at = data;
	while (size > 0) {
		ssize_t n = write(fd, at, size);
		if (n < 0)
			return -1;
		at += n;
		size -= n;
	}
	return 0;
}

static const struct entry *const tables[] = {process_applets, file_applets, stream_applets};

static int help(void) {
	for (unsigned t = 0; t < sizeof tables / sizeof *tables; t++)
		for (const struct entry *e = tables[t]; e->name; e++)
			fprintf(stderr, "  %s %s\n", e->name, e->usage);
	return 2;
}

static int run(int argc, char **argv) {
	for (unsigned t = 0; t < sizeof tables / sizeof *tables; t++)
		for (const struct entry *e = tables[t]; e->name; e++)
			if (strcmp(e->name, argv[0]) == 0)
				return e->run(argc, argv);
	fprintf(stderr, "box: no applet \"%s\"\n", argv[0]);
	return help();
}

int main(int argc, char **argv) {
	int status = 0;
	all_argc = argc;
	all_argv = argv;
	if (argc < 2)
		return help();
	for (int from = 1; from < argc;) {
		int to = from;
		while (to < argc && strcmp(argv[to], ",") != 0)
			to++;
		trying = to > from && strcmp(argv[from], "try") == 0;
		from += trying;
		if (to > from) {
			status = run(to - from, argv + from);
			fflush(stdout);
		}
		if (status && !trying)
			return status;
		if (trying)
			status = 0;
		from = to + 1;
	}
	return status;
}
