// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package docker tests the shim under the real Docker Engine, in a clean
// room, by what is typed and what comes back: the text files of scripts.
//
// Every file runs on the shim; one whose first line says "as for Linux" runs
// on runc as well, with the same program built for Linux, and must read the
// same. $on and $image are the options and the image of either.
//
//	$ COMMAND    is typed into a shell; the lines after it, which begin with
//	             neither a prompt nor "#", are what comes back on both streams.
//	             "..." stands for any text; alone on a line, for any lines.
//	~$ COMMAND   is typed again until it answers so.
//	[N]          is the last line of an answer with exit status N.
package docker
