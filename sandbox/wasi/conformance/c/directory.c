// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Directories: every entry once, also while entries go, and again after a rewind.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { files = 700 };

static int count(DIR *dir) {
	int n = 0;
	while (readdir(dir) != NULL)
		n++;
	return n;
}

int main(void) {
	char name[64];
	static int seen[files];

	CHECK(mkdir("many", 0700) == 0);
	for (int i = 0; i < files; i++) {
		snprintf(name, sizeof name, "many/file-with-a-long-name-%d", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		CHECK(fd >= 0 && close(fd) == 0);
	}
	DIR *dir = opendir("many");
	CHECK(dir != NULL);
	CHECK(count(dir) == files + 2);
	rewinddir(dir);
	CHECK(count(dir) == files + 2);

	// Remove each entry as it comes.
	rewinddir(dir);
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		if (e->d_name[0] == '.') {
			CHECK(e->d_type == DT_DIR);
			continue;
		}
		CHECK(e->d_type == DT_REG && e->d_ino != 0);
		int i = atoi(e->d_name + strlen("file-with-a-long-name-"));
		CHECK(i >= 0 && i < files);
		seen[i]++;
		snprintf(name, sizeof name, "many/%s", e->d_name);
		CHECK(unlink(name) == 0);
	}
	for (int i = 0; i < files; i++)
		CHECK(seen[i] == 1);
	rewinddir(dir);
	CHECK(count(dir) == 2);

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "many/%d", i);
		int fd = open(name, O_WRONLY | O_CREAT, 0600);
		CHECK(fd >= 0 && close(fd) == 0);
	}
	rewinddir(dir);
	CHECK(count(dir) == 22);

	// Names below an open directory.
	CHECK(mkdirat(dirfd(dir), "sub", 0700) == 0);
	int fd = openat(dirfd(dir), "sub/../5", O_RDONLY);
	CHECK(fd >= 0);
	FAILS(openat(dirfd(dir), "../many", O_RDONLY), EPERM);
	FAILS(unlinkat(dirfd(dir), "sub", 0), EISDIR);
	CHECK(unlinkat(dirfd(dir), "sub", AT_REMOVEDIR) == 0);
	CHECK(closedir(dir) == 0);
	CHECK(opendir("none") == NULL && errno == ENOENT);
	return 0;
}
