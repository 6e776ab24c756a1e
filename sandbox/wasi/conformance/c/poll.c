// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Readiness: standard input that has nothing, something, and an end.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "check.h"

int main(void) {
	char buf[16];
	struct pollfd p[2] = {{0, POLLRDNORM, 0}, {1, POLLWRNORM, 0}};

	CHECK(poll(p, 1, 20) == 0);
	CHECK(poll(p, 2, 1000) == 1 && p[0].revents == 0 && p[1].revents == POLLWRNORM);
	int flags = fcntl(0, F_GETFL);
	CHECK(fcntl(0, F_SETFL, flags | O_NONBLOCK) == 0);
	FAILS(read(0, buf, 1), EAGAIN);
	CHECK(fcntl(0, F_SETFL, flags) == 0);

	// Say so, and wait for what the test then writes.
	CHECK(write(1, "ready\n", 6) == 6);
	CHECK(poll(p, 1, -1) == 1 && p[0].revents == POLLRDNORM);
	CHECK(read(0, buf, sizeof buf) == 5 && memcmp(buf, "hello", 5) == 0);
	CHECK(write(1, buf, 5) == 5);
	CHECK(poll(p, 1, -1) == 1 && (p[0].revents & (POLLHUP | POLLRDNORM)) != 0);
	CHECK(read(0, buf, sizeof buf) == 0);
	CHECK(!isatty(0) && !isatty(1));
	return 42;
}
