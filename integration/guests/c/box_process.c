// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// The applets about the process itself: arguments, environment, time, memory
// and ways to end.

#include "box.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int truth(int argc, char **argv) { return 0; }
static int falsehood(int argc, char **argv) { return 1; }

static int leave(int argc, char **argv) {
	fflush(stdout);
	_Exit(number(argc, argv, 1, 0));
}

static int die(int argc, char **argv) { abort(); }
static int trap(int argc, char **argv) { __builtin_trap(); }

static int echo(int argc, char **argv) {
	for (int i = 1; i < argc; i++)
		printf(i > 1 ? " %s" : "%s", argv[i]);
	putchar('\n');
	return 0;
}

static int args(int argc, char **argv) {
	for (int i = 0; i < all_argc; i++)
		printf("%d \"%s\"\n", i, all_argv[i]);
	return 0;
}

static int env(int argc, char **argv) {
	for (char **e = environ; *e; e++)
		puts(*e);
	return 0;
}

static int get(int argc, char **argv) {
	const char *value = argc > 1 ? getenv(argv[1]) : NULL;
	if (value)
		puts(value);
	return value == NULL;
}

static int sleep_ms(int argc, char **argv) {
	long long ms = number(argc, argv, 1, 1000);
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	fflush(stdout);
	nanosleep(&t, NULL);
	return 0;
}

static int spin(int argc, char **argv) {
	fflush(stdout);
	for (volatile uint64_t i = 0;; i++)
		;
}

static int now(int argc, char **argv) {
	struct timespec real, mono;
	if (clock_gettime(CLOCK_REALTIME, &real) || clock_gettime(CLOCK_MONOTONIC, &mono))
		return fail("clock_gettime");
	printf("%lld %lld\n", real.tv_sec * 1000000000LL + real.tv_nsec,
	       mono.tv_sec * 1000000000LL + mono.tv_nsec);
	return 0;
}

// steady runs for a while and prints the longest pause between two looks at
// the clock, in milliseconds.
static int steady(int argc, char **argv) {
	long long until = number(argc, argv, 1, 1000), gap = 0, start, last, at;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	start = last = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
	do {
		clock_gettime(CLOCK_MONOTONIC, &t);
		at = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
		if (at - last > gap)
			gap = at - last;
		last = at;
	} while (at - start < until);
	printf("%lld\n", gap);
	return 0;
}

#ifdef __wasm__
static int grow(int argc, char **argv) {
	long long mb = number(argc, argv, 1, 4096), got = 0;
	for (; got < mb; got++) {
		size_t page = __builtin_wasm_memory_grow(0, 16);
		if (page == (size_t)-1) {
			printf("refused at %lld MB\n", got);
			return 0;
		}
		memset((char *)(page * 65536), 1, 16 * 65536);
	}
	printf("grew %lld MB\n", got);
	return 0;
}
#endif

static int swallow(int argc, char **argv) {
	long long mb = number(argc, argv, 1, 64);
	for (long long i = 0; i < mb; i++) {
		char *volatile p = malloc(1 << 20); // or the compiler leaves both out
		if (!p)
			return fail("malloc");
		memset(p, 1, 1 << 20);
	}
	printf("holds %lld MB\n", mb);
	return 0;
}

static int entropy(int argc, char **argv) {
	unsigned char bytes[256];
	long long n = number(argc, argv, 1, 16);
	if (n > 256)
		n = 256;
	if (getentropy(bytes, n))
		return fail("getentropy");
	for (long long i = 0; i < n; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
	return 0;
}

const struct entry process_applets[] = {
	{"true", truth, ""},
	{"false", falsehood, ""},
	{"exit", leave, "STATUS"},
	{"abort", die, ""},
	{"trap", trap, ""},
	{"echo", echo, "[TEXT]..."},
	{"args", args, "[ARGUMENT]...: the whole argv of the process, each in quotes"},
	{"env", env, ""},
	{"get", get, "NAME: an environment variable"},
	{"sleep", sleep_ms, "MILLISECONDS"},
	{"spin", spin, ": for ever"},
	{"now", now, ": real and monotonic time, ns"},
	{"steady", steady, "MILLISECONDS: the longest pause seen, ms"},
#ifdef __wasm__
	{"grow", grow, "MEGABYTES: by memory.grow, until it is refused"},
#endif
	{"swallow", swallow, "MEGABYTES: by malloc, touched and kept"},
	{"random", entropy, "BYTES: in hex"},
	{NULL, NULL, NULL},
};
