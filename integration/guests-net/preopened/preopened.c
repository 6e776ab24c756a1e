// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// A guest for the network tests: a server in C on the first socket that it finds
// open, which answers each connection with a file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
	printf("%s %s\n", getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES"));
	fflush(stdout);
	for (;;) {
		int fd = accept(3, NULL, NULL);
		if (fd < 0) {
			perror("accept");
			return 1;
		}
		char buf[4096];
		FILE *file = fopen("/etc/hosts", "r");
		size_t n = file ? fread(buf, 1, sizeof buf, file) : 0;
		if (file)
			fclose(file);
		if (send(fd, buf, n, 0) != (ssize_t)n)
			perror("send");
		shutdown(fd, SHUT_WR);
		while (recv(fd, buf, sizeof buf, 0) > 0)
			;
		close(fd);
	}
}
