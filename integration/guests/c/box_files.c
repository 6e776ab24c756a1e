// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// The applets about files.

#include "box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static const char *operand(int argc, char **argv, int index) {
	return index < argc ? argv[index] : "";
}

// copy sends everything from one descriptor to another.
static int copy(int from, int to, const char *name) {
	static char buffer[65536];
	for (;;) {
		ssize_t n = read(from, buffer, sizeof buffer);
		if (n < 0)
			return fail(name);
		if (n == 0)
			return 0;
		if (write_all(to, buffer, n))
			return fail("write");
	}
}

static int cat(int argc, char **argv) {
	fflush(stdout);
	if (argc == 1)
		return copy(0, 1, "stdin");
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY);
		if (fd < 0)
			return fail(argv[i]);
		int status = copy(fd, 1, argv[i]);
		close(fd);
		if (status)
			return status;
	}
	return 0;
}

static int by_name(const void *a, const void *b) {
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int ls(int argc, char **argv) {
	const char *path = argc > 1 ? argv[1] : ".";
	char **names = NULL;
	size_t count = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);
	if (!dir)
		return fail(path);
	errno = 0;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		names = realloc(names, (count + 1) * sizeof *names);
		names[count++] = strdup(entry->d_name);
	}
	closedir(dir);
	if (errno)
		return fail(path);
	qsort(names, count, sizeof *names, by_name);
	for (size_t i = 0; i < count; i++)
		puts(names[i]);
	return 0;
}

static int put(const char *path, int flags, const void *data, size_t size) {
	int fd = open(path, O_WRONLY | flags, 0666);
	if (fd < 0)
		return fail(path);
	int failed = write_all(fd, data, size);
	if (failed)
		fail(path);
	close(fd);
	return failed ? 1 : 0;
}

static int write_text(int argc, char **argv) {
	const char *text = operand(argc, argv, 2);
	return put(operand(argc, argv, 1), O_CREAT | O_TRUNC, text, strlen(text));
}

static int append(int argc, char **argv) {
	const char *text = operand(argc, argv, 2);
	return put(operand(argc, argv, 1), O_CREAT | O_APPEND, text, strlen(text));
}

static int create(int argc, char **argv) {
	return put(operand(argc, argv, 1), O_CREAT | O_EXCL, "", 0);
}

static int fill(int argc, char **argv) {
	static char block[1 << 20];
	const char *path = operand(argc, argv, 1);
	long long mb = number(argc, argv, 2, 1);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0)
		return fail(path);
	memset(block, 'x', sizeof block);
	for (long long i = 0; i < mb; i++)
		if (write_all(fd, block, sizeof block)) {
			fail(path);
			close(fd);
			return 1;
		}
	close(fd);
	printf("wrote %lld MB\n", mb);
	return 0;
}

// unary makes an applet of a call that takes one path, binary of one that
// takes two.
#define unary(name, call) \
	static int name(int argc, char **argv) { \
		for (int i = 1; i < argc; i++) \
			if (call) \
				return fail(argv[i]); \
		return 0; \
	}
#define binary(name, call) \
	static int name(int argc, char **argv) { \
		const char *from = operand(argc, argv, 1), *to = operand(argc, argv, 2); \
		return call ? fail(to) : 0; \
	}

unary(make_dir, mkdir(argv[i], 0777))
unary(remove_dir, rmdir(argv[i]))
unary(remove_file, unlink(argv[i]))
unary(touch, utimes(argv[i], NULL))
binary(symbolic, symlink(from, to))
binary(hard, link(from, to))
binary(move, rename(from, to))

static int read_link(int argc, char **argv) {
	char target[4096];
	ssize_t n = readlink(operand(argc, argv, 1), target, sizeof target);
	if (n < 0)
		return fail(operand(argc, argv, 1));
	printf("%.*s\n", (int)n, target);
	return 0;
}

static int describe(const char *path, int (*how)(const char *, struct stat *)) {
	struct stat s;
	if (how(path, &s))
		return fail(path);
	const char *kind = S_ISREG(s.st_mode) ? "file" : S_ISDIR(s.st_mode) ? "directory"
		: S_ISLNK(s.st_mode) ? "link" : S_ISCHR(s.st_mode) ? "character device" : "other";
	printf("%s %s %lld %lld\n", path, kind, (long long)s.st_size, (long long)s.st_nlink);
	return 0;
}

static int show(const char *path, struct stat *s) { return stat(path, s); }
static int lshow(const char *path, struct stat *s) { return lstat(path, s); }
static int stat_path(int argc, char **argv) { return describe(operand(argc, argv, 1), show); }
static int lstat_path(int argc, char **argv) { return describe(operand(argc, argv, 1), lshow); }

static int shorten(int argc, char **argv) {
	int fd = open(operand(argc, argv, 1), O_WRONLY);
	if (fd < 0 || ftruncate(fd, number(argc, argv, 2, 0)))
		return fail(operand(argc, argv, 1));
	close(fd);
	return 0;
}

static int exists(int argc, char **argv) {
	struct stat s;
	return lstat(operand(argc, argv, 1), &s) != 0;
}

const struct entry file_applets[] = {
	{"cat", cat, "[FILE]...: or stdin"},
	{"ls", ls, "[DIRECTORY]: the names, sorted"},
	{"write", write_text, "FILE TEXT"},
	{"append", append, "FILE TEXT"},
	{"create", create, "FILE: must not exist"},
	{"fill", fill, "FILE MEGABYTES"},
	{"mkdir", make_dir, "DIRECTORY..."},
	{"rmdir", remove_dir, "DIRECTORY..."},
	{"rm", remove_file, "FILE..."},
	{"touch", touch, "FILE..."},
	{"symlink", symbolic, "TARGET LINK"},
	{"link", hard, "FILE LINK"},
	{"rename", move, "FROM TO"},
	{"readlink", read_link, "LINK"},
	{"stat", stat_path, "FILE: kind, size, links"},
	{"lstat", lstat_path, "FILE"},
	{"truncate", shorten, "FILE SIZE"},
	{"exists", exists, "FILE: status 0 or 1"},
	{NULL, NULL, NULL},
};
