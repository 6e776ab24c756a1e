// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// The applets about stdio, descriptors and listening sockets.

#include "box.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __wasm__
#include <wasi/api.h>
#endif

static char buffer[65536];

// gen writes N bytes, the letters a to z in turn.
static int gen(int argc, char **argv) {
	long long left = number(argc, argv, 1, 1);
	size_t block = number(argc, argv, 2, sizeof buffer);
	if (block == 0 || block > sizeof buffer)
		block = sizeof buffer;
	fflush(stdout);
	for (unsigned long long at = 0; left > 0;) {
		size_t n = left < (long long)block ? (size_t)left : block;
		for (size_t i = 0; i < n; i++)
			buffer[i] = 'a' + (at + i) % 26;
		if (write_all(1, buffer, n))
			return fail("stdout");
		at += n;
		left -= n;
	}
	return 0;
}

static int complain(int argc, char **argv) {
	for (int i = 1; i < argc; i++)
		fprintf(stderr, i > 1 ? " %s" : "%s", argv[i]);
	fputc('\n', stderr);
	return 0;
}

// count reads stdin to its end and prints the bytes and an Adler-32 sum.
static int count(int argc, char **argv) {
	uint32_t a = 1, b = 0;
	unsigned long long total = 0;
	ssize_t n;
	while ((n = read(0, buffer, sizeof buffer)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			a = (a + (unsigned char)buffer[i]) % 65521;
			b = (b + a) % 65521;
		}
		total += n;
	}
	if (n < 0)
		return fail("stdin");
	printf("%llu %08x\n", total, b << 16 | a);
	return 0;
}

// answer echoes each line of stdin as it comes, after "got ".
static int answer(int argc, char **argv) {
	char line[4096];
	while (fgets(line, sizeof line, stdin)) {
		printf("got %s", line);
		fflush(stdout);
	}
	return 0;
}

// wait reads stdin until its end and says nothing.
static int wait_for_end(int argc, char **argv) {
	fflush(stdout);
	while (read(0, buffer, sizeof buffer) > 0)
		;
	return 0;
}

// tick prints a number every so many milliseconds.
static int tick(int argc, char **argv) {
	long long ms = number(argc, argv, 1, 100), times = number(argc, argv, 2, 1LL << 40);
	for (long long i = 0; i < times; i++) {
		printf("%lld\n", i);
		if (fflush(stdout))
			return fail("stdout");
		usleep(ms * 1000);
	}
	return 0;
}

#ifdef __wasm__
static int descriptors(int argc, char **argv) {
	for (__wasi_fd_t fd = 0; fd < 64; fd++) {
		__wasi_fdstat_t stat;
		__wasi_prestat_t prestat;
		char name[1024] = "";
		if (__wasi_fd_fdstat_get(fd, &stat))
			continue;
		if (__wasi_fd_prestat_get(fd, &prestat) == 0 && prestat.tag == __WASI_PREOPENTYPE_DIR &&
		    prestat.u.dir.pr_name_len < sizeof name &&
		    __wasi_fd_prestat_dir_name(fd, (uint8_t *)name, prestat.u.dir.pr_name_len))
			continue;
		printf("%u type %u%s%s\n", fd, stat.fs_filetype, *name ? " " : "", name);
	}
	return 0;
}
#endif

static int terminal(int argc, char **argv) {
	for (int fd = 0; fd < 3; fd++)
		printf(isatty(fd) ? "%d is a tty\n" : "%d is no tty\n", fd);
	return 0;
}

// ready waits until stdin is readable, at most so long.
static int ready(int argc, char **argv) {
	struct pollfd p = {0, POLLIN, 0};
	int n = poll(&p, 1, number(argc, argv, 1, 1000));
	if (n < 0)
		return fail("poll");
	puts(n == 0 ? "timeout" : "ready");
	return 0;
}

#ifdef __wasm__
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_accept")))
int32_t sock_accept(int32_t fd, int32_t flags, int32_t *connection);

// serve accepts connections on a preopened listener and echoes each to its
// end, one after the other.
static int serve(int argc, char **argv) {
	int fd = number(argc, argv, 1, 3);
	long long connections = number(argc, argv, 2, 1LL << 40);
	for (long long i = 0; i < connections; i++) {
		int32_t connection;
		ssize_t n;
		errno = sock_accept(fd, 0, &connection);
		if (errno)
			return fail("accept");
		while ((n = read(connection, buffer, sizeof buffer)) > 0)
			if (write_all(connection, buffer, n))
				break;
		close(connection);
	}
	return 0;
}
#endif

const struct entry stream_applets[] = {
	{"gen", gen, "BYTES [BLOCK]: to stdout"},
	{"err", complain, "[TEXT]...: to stderr"},
	{"count", count, ": bytes of stdin and their Adler-32"},
	{"answer", answer, ": each line of stdin with \"got \" before it"},
	{"wait", wait_for_end, ": for the end of stdin"},
	{"tick", tick, "MILLISECONDS [TIMES]"},
	{"tty", terminal, ": which of 0, 1, 2 is one"},
	{"ready", ready, "MILLISECONDS: poll stdin"},
#ifdef __wasm__
	{"fds", descriptors, ": open descriptors and preopens"},
	{"serve", serve, "[DESCRIPTOR] [CONNECTIONS]: echo on a preopened listener"},
#endif
	{NULL, NULL, NULL},
};
