// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// escape.wasm SECRET TOKEN [SHARED] tries to reach a file of the host, whose
// absolute path is SECRET and whose contents have TOKEN in them, in every way
// that it knows. SHARED is a directory that is mounted from the host, beside
// whose source a file "secret" lies. It prints a line for each way that leads
// out, then the number of ways tried; its status is 1 if one did.
//
// It calls WASI itself, so that no library tidies the paths up before.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

enum { FIRST = 3, FOLLOW = __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW };

static const char *secret, *token;
static int tried, escaped;
static char buffer[65536];

static void report(int out, const char *way, const char *path) {
	tried++;
	if (!out)
		return;
	escaped++;
	printf("ESCAPED: %s: %s\n", way, path);
}

static int tells(__wasi_fd_t fd) {
	size_t size = 0;
	__wasi_iovec_t v = {(uint8_t *)buffer, sizeof buffer - 1};
	if (__wasi_fd_pread(fd, &v, 1, 0, &size) && __wasi_fd_read(fd, &v, 1, &size))
		return 0;
	buffer[size] = 0;
	return strstr(buffer, token) || strstr(buffer, "ociVersion");
}

static __wasi_errno_t open_at(__wasi_fd_t dir, int flags, const char *path, int how, __wasi_fd_t *fd) {
	__wasi_rights_t most = __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_READDIR | __WASI_RIGHTS_PATH_OPEN;
	if (how & __WASI_OFLAGS_CREAT)
		most |= __WASI_RIGHTS_FD_WRITE;
	return __wasi_path_open(dir, flags, path, how, most, most, 0, fd);
}

// reads says whether a path leads to what only the host has.
static int reads(__wasi_fd_t dir, int flags, const char *path) {
	__wasi_fd_t fd;
	if (open_at(dir, flags, path, 0, &fd))
		return 0;
	int out = tells(fd);
	(void)!__wasi_fd_close(fd);
	return out;
}

static void try_read(const char *way, __wasi_fd_t dir, const char *path) {
	report(reads(dir, FOLLOW, path) || reads(dir, 0, path), way, path);
}

// try_create leaves a file where the way leads; the test looks on the host.
static void try_create(__wasi_fd_t dir, const char *path) {
	__wasi_fd_t fd;
	tried++;
	if (open_at(dir, FOLLOW, path, __WASI_OFLAGS_CREAT, &fd) == 0)
		(void)!__wasi_fd_close(fd);
}

static char text[65536];

static const char *join(const char *a, const char *b) {
	snprintf(text, sizeof text, "%s%s", a, b);
	return text;
}

static char ups[4096];

static const char *climbing(const char *start, int steps) {
	strcpy(ups, start);
	for (int i = 0; i < steps; i++)
		strcat(ups, "../");
	return join(ups, secret + 1);
}

// through makes a symbolic link and goes through it.
static void through(const char *way, __wasi_fd_t dir, const char *target, const char *rest) {
	static int n;
	char name[64];
	snprintf(name, sizeof name, "escape-link-%d", n++);
	(void)!__wasi_path_unlink_file(dir, name);
	tried++;
	if (__wasi_path_symlink(target, dir, name))
		return;
	char path[4200];
	snprintf(path, sizeof path, "%s%s", name, rest);
	if (reads(dir, FOLLOW, path) || reads(dir, 0, path)) {
		escaped++;
		printf("ESCAPED: %s: %s -> %s\n", way, path, target);
	}
	(void)!__wasi_path_unlink_file(dir, name);
}

static void paths(void) {
	try_read("absolute path", FIRST, secret);
	try_read("path from the root", FIRST, secret + 1);
	try_read("two slashes", FIRST, join("/", secret));
	try_read("dot slash", FIRST, join("./", secret));
	for (int n = 1; n < 16; n += 2)
		try_read("..", FIRST, climbing("", n));
	try_read(".. below a directory", FIRST, climbing("etc/", 12));
	try_read(".. after a dot", FIRST, climbing("./etc/.././", 12));
	try_read(".. with two slashes", FIRST, climbing("etc//..//", 12));
	try_read("the bundle", FIRST, "../config.json");
	try_read("the bundle, from below", FIRST, "etc/../../config.json");
	__wasi_fd_t up;
	if (open_at(FIRST, FOLLOW, "..", __WASI_OFLAGS_DIRECTORY, &up) == 0)
		try_read("an open ..", up, "config.json");
	else
		tried++;
	if (open_at(FIRST, FOLLOW, "etc", __WASI_OFLAGS_DIRECTORY, &up) == 0) {
		try_read("a directory's ..", up, "../../config.json");
		try_read("a directory's .. to the top", up, climbing("", 12));
	}
}

static void links(void) {
	through("absolute link", FIRST, secret, "");
	through("link to the root", FIRST, "/", secret);
	through("link to the root's parent", FIRST, "/..", "/config.json");
	through("link to ..", FIRST, "..", "/config.json");
	through("link to ../..", FIRST, "../..", "/config.json");
	through("relative link", FIRST, climbing("", 12), "");
	through("link up from below", FIRST, "etc/../..", "/config.json");
	through("link to /proc/1/root", FIRST, "/proc/1/root", secret);
	through("link to /proc/self/root", FIRST, "/proc/self/root", secret);
	through("link to /proc/self/cwd", FIRST, "/proc/self/cwd/..", "/config.json");
	through("link to a descriptor", FIRST, "/proc/self/fd/3/..", "/config.json");
	through("link to /dev/fd", FIRST, "/dev/fd/3/..", "/config.json");
	// A chain, and one that is made while it is walked.
	(void)!__wasi_path_symlink("..", FIRST, "tmp/escape-a");
	through("chain of links", FIRST, "tmp/escape-a/..", "/config.json");
	through("link to a link", FIRST, "tmp/escape-a", "/../config.json");
	// A directory that is open is moved, so that its .. is another.
	__wasi_fd_t deep;
	(void)!__wasi_path_create_directory(FIRST, "tmp/escape-x");
	(void)!__wasi_path_create_directory(FIRST, "tmp/escape-x/y");
	if (open_at(FIRST, FOLLOW, "tmp/escape-x/y", __WASI_OFLAGS_DIRECTORY, &deep) == 0) {
		(void)!__wasi_path_rename(FIRST, "tmp/escape-x/y", FIRST, "escape-y");
		try_read(".. of a directory that moved", deep, "../../config.json");
		try_read(".. of a directory that moved, further", deep, climbing("", 12));
		(void)!__wasi_path_remove_directory(FIRST, "escape-y");
		try_read(".. of a directory that is gone", deep, "../../config.json");
	}
	// Hard links and renames take names from outside in.
	const char *outside[] = {"../config.json", secret, climbing("", 12)};
	for (int i = 0; i < 3; i++) {
		char from[4096];
		strcpy(from, outside[i]);
		(void)!__wasi_path_link(FIRST, FOLLOW, from, FIRST, "tmp/escape-hard");
		try_read("hard link", FIRST, "tmp/escape-hard");
		(void)!__wasi_path_rename(FIRST, from, FIRST, "tmp/escape-moved");
		try_read("rename", FIRST, "tmp/escape-moved");
	}
}

static void kernel(void) {
	const char *roots[] = {"proc/1/root", "proc/self/root", "proc/thread-self/root", "proc/self/cwd/..", "proc/1/cwd/..",
	                       "proc/self/fd/3/..", "dev/fd/3/..", "proc/self/task/1/root", "proc/2/root"};
	for (unsigned i = 0; i < sizeof roots / sizeof *roots; i++)
		try_read("magic link", FIRST, join(roots[i], secret));
	const char *files[] = {
		"proc/self/status", "proc/1/environ", "proc/self/mem", "proc/self/maps", "proc/self/exe", "proc/kcore", "proc/kallsyms",
		"proc/sys/kernel/core_pattern", "proc/sysrq-trigger", "proc/cpuinfo", "proc/net/tcp", "proc/mounts",
		"sys/kernel/uevent_helper", "sys/class/net", "sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/cgroup.procs",
		"sys/fs/cgroup/pids/release_agent", "sys/devices", "sys/firmware",
		"dev/mem", "dev/kmem", "dev/kmsg", "dev/port", "dev/sda", "dev/sda1", "dev/vda", "dev/vda1", "dev/nvme0n1", "dev/loop0",
		"dev/loop-control", "dev/fuse", "dev/kvm", "dev/net/tun", "dev/ptmx", "dev/pts/0", "dev/console", "dev/mapper/control",
		"dev/fd/0", "dev/stdin", "dev/shm/x", "dev/mqueue", "dev/hugepages", "dev/userfaultfd", "dev/cpu/0/msr", "dev/vhost-net",
		"run/containerd/containerd.sock", "run/docker.sock", "var/run/docker.sock", ".pivot_root", "put_old", "oldroot",
	};
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
		__wasi_filestat_t stat;
		report(__wasi_path_filestat_get(FIRST, 0, files[i], &stat) == 0, "it is there", files[i]);
	}
}

// inherited looks for descriptors that nobody meant to give.
static void inherited(void) {
	for (__wasi_fd_t fd = 0; fd < 1024; fd++) {
		__wasi_fdstat_t stat;
		__wasi_prestat_t prestat;
		if (__wasi_fd_fdstat_get(fd, &stat) || fd < 3 || __wasi_fd_prestat_get(fd, &prestat) == 0)
			continue;
		if (tells(fd) || reads(fd, FOLLOW, "config.json") || reads(fd, FOLLOW, secret + 1)) {
			snprintf(text, sizeof text, "%u", fd);
			report(1, "descriptor", text);
		}
	}
	report(0, "descriptors", "");
	for (__wasi_fd_t fd = 0; fd < 3; fd++)
		try_read("stdio as a directory", fd, "../config.json");
	for (int64_t fd = -2; fd < 0; fd++)
		try_read("a descriptor below 0", (__wasi_fd_t)fd, secret + 1); // AT_FDCWD is -100
	try_read("AT_FDCWD", (__wasi_fd_t)-100, secret);
	try_read("AT_FDCWD and a relative path", (__wasi_fd_t)-100, "../config.json");
	__wasi_fd_t copy;
	if (open_at(FIRST, FOLLOW, ".", __WASI_OFLAGS_DIRECTORY, &copy) == 0 && __wasi_fd_renumber(copy, FIRST + 1) == 0)
		try_read("renumbered directory", FIRST + 1, "../config.json");
}

static void writing(void) {
	try_create(FIRST, "../escaped");
	try_create(FIRST, "etc/../../escaped");
	try_create(FIRST, climbing("", 12));
	(void)!__wasi_path_symlink("../escaped", FIRST, "escape-dangling");
	try_create(FIRST, "escape-dangling");
	(void)!__wasi_path_symlink(secret, FIRST, "escape-dangling-2");
	(void)!__wasi_path_create_directory(FIRST, "../escaped-dir");
	(void)!__wasi_path_symlink("/", FIRST, "../escaped-link");
	(void)!__wasi_path_rename(FIRST, "tmp", FIRST, "../escaped-tmp");
	(void)!__wasi_path_unlink_file(FIRST, "../config.json");
	(void)!__wasi_path_remove_directory(FIRST, "../rootfs");
	tried += 6;
}

// sharing goes out of a directory that the host shares.
static void sharing(__wasi_fd_t dir) {
	try_read("out of a mount", dir, "../secret");
	try_read("a mount's ..", dir, "./../secret");
	through("link out of a mount", dir, "../secret", "");
	through("absolute link out of a mount", dir, secret, "");
	try_read("a link that the host left", dir, "out");
	try_read("a directory link that the host left", dir, "top/secret");
	try_read("an absolute link that the host left", dir, "abs");
	try_read("a magic link that the host left", dir, join("proc", secret));
	try_create(dir, "../escaped");
	(void)!__wasi_path_link(dir, FOLLOW, "../secret", dir, "hard");
	try_read("hard link into a mount", dir, "hard");
	(void)!__wasi_path_rename(dir, "../secret", dir, "moved");
	try_read("rename into a mount", dir, "moved");
}

int main(int argc, char **argv) {
	__wasi_fd_t shared;
	if (argc < 3)
		return 2;
	secret = argv[1];
	token = argv[2];
	paths();
	links();
	kernel();
	inherited();
	writing();
	if (argc > 3) {
		if (open_at(FIRST, FOLLOW, argv[3] + 1, __WASI_OFLAGS_DIRECTORY, &shared)) {
			puts("the shared directory is not there");
			return 2;
		}
		sharing(shared);
	}
	printf("%d ways tried\n", tried);
	return escaped != 0;
}
