// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// reach.wasm listen 0.0.0.0 8080 , connect 127.0.0.1 9000 , unix @abstract
// opens sockets by the extension of WasmEdge, and prints of each what came of
// it: "ok" or the errno's text. It never fails.

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define socket_call(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) int32_t name
socket_call(sock_open)(int32_t family, int32_t type, int32_t *fd);
socket_call(sock_bind)(int32_t fd, void *address, int32_t port);
socket_call(sock_listen)(int32_t fd, int32_t backlog);
socket_call(sock_connect)(int32_t fd, void *address, int32_t port);

enum { INET4 = 1, UNIX = 3, STREAM = 2 };

static uint8_t storage[128];
static struct { void *bytes; uint32_t size; } address = {storage, sizeof storage};

static int32_t reach(int family, int listening, const char *where, int port) {
	int32_t fd, failed = sock_open(family, STREAM, &fd);
	memset(storage, 0, sizeof storage);
	storage[0] = family;
	if (family == UNIX) {
		memcpy(storage + 2, where, strlen(where));
		if (storage[2] == '@')
			storage[2] = 0;
	} else {
		sscanf(where, "%hhu.%hhu.%hhu.%hhu", storage + 2, storage + 3, storage + 4, storage + 5);
	}
	if (!failed)
		failed = listening ? sock_bind(fd, &address, port) : sock_connect(fd, &address, port);
	if (!failed && listening)
		failed = sock_listen(fd, 1);
	return failed;
}

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		const char *what = argv[i];
		int32_t failed;
		if (strcmp(what, "unix") == 0 && i + 1 < argc) {
			failed = reach(UNIX, 0, argv[i + 1], 0);
			i += 2;
		} else if (i + 2 < argc) {
			failed = reach(INET4, strcmp(what, "listen") == 0, argv[i + 1], atoi(argv[i + 2]));
			i += 3;
		} else {
			return 2;
		}
		printf("%s: %s\n", what, failed ? strerror(failed) : "ok");
	}
	return 0;
}
