// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// openrel REL ABS prints the first line of a file by a relative path and of
// one by an absolute path.

#include <stdio.h>

static int show(const char *path) {
	char line[256];
	FILE *f = fopen(path, "r");
	if (!f || !fgets(line, sizeof line, f)) {
		perror(path);
		return 1;
	}
	fclose(f);
	printf("%s: %s", path, line);
	return 0;
}

int main(int argc, char **argv) {
	int failed = 0;
	for (int i = 1; i < argc; i++)
		failed |= show(argv[i]);
	return failed;
}
