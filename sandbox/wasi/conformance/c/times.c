// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Times of files, and clocks.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static long long ns(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }

int main(void) {
	struct stat st;
	struct timespec now, later, step = {0, 20 * 1000 * 1000};

	int fd = open("file", O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	struct timespec times[2] = {{1000, 1}, {2000, 999999999}};
	CHECK(futimens(fd, times) == 0);
	CHECK(fstat(fd, &st) == 0 && ns(st.st_atim) == ns(times[0]) && ns(st.st_mtim) == ns(times[1]));
	CHECK(write(fd, "x", 1) == 1);
	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	CHECK(stat("file", &st) == 0 && st.st_atim.tv_sec == 1000);
	CHECK(ns(now) - ns(st.st_mtim) < 10000000000LL && ns(now) - ns(st.st_mtim) > -1000000000LL);

	CHECK(symlink("file", "link") == 0);
	struct timespec old[2] = {{5, 0}, {6, 0}};
	CHECK(utimensat(AT_FDCWD, "link", old, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(lstat("link", &st) == 0 && st.st_mtim.tv_sec == 6);
	CHECK(stat("link", &st) == 0 && st.st_mtim.tv_sec > 6);
	CHECK(utimensat(AT_FDCWD, "link", old, 0) == 0);
	CHECK(stat("file", &st) == 0 && st.st_mtim.tv_sec == 6);

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	CHECK(nanosleep(&step, NULL) == 0);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &later) == 0);
	CHECK(ns(later) - ns(now) >= ns(step));
	now = later;
	now.tv_nsec += step.tv_nsec;
	if (now.tv_nsec >= 1000000000) {
		now.tv_nsec -= 1000000000;
		now.tv_sec++;
	}
	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &now, NULL) == 0);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &later) == 0 && ns(later) >= ns(now));
	CHECK(clock_getres(CLOCK_MONOTONIC, &step) == 0 && ns(step) > 0);
	return 0;
}
