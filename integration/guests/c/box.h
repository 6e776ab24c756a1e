// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// What the files of the box share. Each applet takes its own argv and answers
// with an exit status.

#ifndef BOX_H
#define BOX_H

typedef int applet(int argc, char **argv);

struct entry {
	const char *name;
	applet *run;
	const char *usage;
};

extern const struct entry process_applets[], file_applets[], stream_applets[];

// The arguments of the whole process.
extern int all_argc;
extern char **all_argv;

// fail prints "box: WHAT: the text of errno" to stderr and answers 1.
int fail(const char *what);

// number reads a decimal argument, or answers otherwise where it is absent.
long long number(int argc, char **argv, int index, long long otherwise);

// write_all writes every byte or answers -1 with errno.
int write_all(int fd, const void *data, unsigned long size);

#endif
