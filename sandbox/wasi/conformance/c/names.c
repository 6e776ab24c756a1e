// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Names: links, directories, renames, and the errno of what cannot be.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static void touch(const char *path) {
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

int main(void) {
	struct stat a, b;
	char buf[64], longname[300], longpath[5000];

	CHECK(mkdir("d", 0700) == 0);
	FAILS(mkdir("d", 0700), EEXIST);
	touch("f");
	touch("d/f");
	FAILS(mkdir("f/x", 0700), ENOTDIR);
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(unlink("none"), ENOENT);
	FAILS(open("f/", O_RDONLY), ENOTDIR);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("d", O_WRONLY), EISDIR);

	CHECK(link("f", "hard") == 0);
	CHECK(stat("f", &a) == 0 && stat("hard", &b) == 0);
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && b.st_nlink == 2);
	FAILS(link("f", "hard"), EEXIST);

	CHECK(symlink("d/f", "soft") == 0);
	CHECK(readlink("soft", buf, sizeof buf) == 3 && memcmp(buf, "d/f", 3) == 0);
	CHECK(lstat("soft", &a) == 0 && S_ISLNK(a.st_mode));
	CHECK(stat("soft", &a) == 0 && S_ISREG(a.st_mode));
	FAILS(readlink("f", buf, sizeof buf), EINVAL);
	FAILS(open("soft", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK(symlink("loop2", "loop") == 0 && symlink("loop", "loop2") == 0);
	FAILS(open("loop", O_RDONLY), ELOOP);
	FAILS(stat("loop", &a), ELOOP);
	CHECK(symlink("none", "dangling") == 0);
	FAILS(stat("dangling", &a), ENOENT);
	touch("dangling");
	CHECK(stat("none", &a) == 0);

	CHECK(rename("f", "g") == 0);
	FAILS(stat("f", &a), ENOENT);
	FAILS(rename("none2", "x"), ENOENT);
	FAILS(rename("g", "d"), EISDIR);
	FAILS(rename("d", "g"), ENOTDIR);
	FAILS(rename("d", "d/inside"), EINVAL);
	CHECK(rename("g", "d/g") == 0 && stat("d/g", &a) == 0);

	// What leads out is refused, however it is spelled.
	FAILS(open("../x", O_RDONLY), EPERM);
	FAILS(open("d/../../x", O_RDONLY), EPERM);
	FAILS(mkdir("../x", 0700), EPERM);
	FAILS(symlink("/etc/passwd", "abs"), EPERM);
	CHECK(symlink("../../../../etc", "up") == 0);
	FAILS(open("up/passwd", O_RDONLY), ENOENT); // the link stops at the root

	memset(longname, 'n', sizeof longname - 1);
	longname[sizeof longname - 1] = 0;
	FAILS(open(longname, O_RDONLY | O_CREAT, 0600), ENAMETOOLONG);
	memset(longpath, '/', sizeof longpath - 1);
	longpath[0] = 'd';
	longpath[sizeof longpath - 1] = 0;
	FAILS(stat(longpath, &a), ENAMETOOLONG);
	FAILS(open("\xff\xfe", O_RDONLY), EILSEQ);
	return 0;
}
