// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Files: reading, writing, offsets, vectors, appending, truncating, sizes.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

int main(void) {
	char buf[32];
	struct stat st;

	int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	FAILS(open("file", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	struct iovec out[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
	CHECK(writev(fd, out, 3) == 7);
	CHECK(lseek(fd, 0, SEEK_CUR) == 7);
	CHECK(pwrite(fd, "ONE", 3, 0) == 3);
	CHECK(lseek(fd, 0, SEEK_CUR) == 7);
	struct iovec in[2] = {{buf, 2}, {buf + 2, 20}};
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK(readv(fd, in, 2) == 7 && memcmp(buf, "ONE two", 7) == 0);
	CHECK(read(fd, buf, 10) == 0);
	CHECK(pread(fd, buf, 10, 4) == 3 && memcmp(buf, "two", 3) == 0);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, 0, 77), EINVAL);

	CHECK(lseek(fd, 100, SEEK_SET) == 100);
	CHECK(write(fd, "end", 3) == 3);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 103 && S_ISREG(st.st_mode));
	CHECK(pread(fd, buf, 1, 50) == 1 && buf[0] == 0);
	CHECK(ftruncate(fd, 5) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 5);
	CHECK(posix_fallocate(fd, 0, 50) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 50);
	CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
	CHECK(close(fd) == 0);
	FAILS(close(fd), EBADF);
	FAILS(write(fd, "x", 1), EBADF);

	fd = open("file", O_WRONLY | O_APPEND | O_TRUNC);
	CHECK(fd >= 0);
	CHECK(write(fd, "ab", 2) == 2 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "cd", 2) == 2);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 4);
	CHECK((fcntl(fd, F_GETFL) & O_APPEND) != 0);
	CHECK(fcntl(fd, F_SETFL, 0) == 0 && (fcntl(fd, F_GETFL) & O_APPEND) == 0);
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "X", 1) == 1);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 4);
	FAILS(read(fd, buf, 1), EBADF);
	CHECK(close(fd) == 0);

	fd = open("file", O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, buf, 10) == 4 && memcmp(buf, "Xbcd", 4) == 0);
	FAILS(write(fd, "x", 1), EBADF);
	CHECK(unlink("file") == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
	CHECK(pread(fd, buf, 10, 0) == 4);
	FAILS(open("file", O_RDONLY), ENOENT);
	FAILS(open("file", O_RDONLY | O_DIRECTORY), ENOENT);
	return 0;
}
