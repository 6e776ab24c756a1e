// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

// Support says how far a function of the definition is carried out.
type Support struct {
	Name string
	// Differs says how the function differs from the definition; "" if it does
	// not.
	Differs string
}

// row is one function: its parameters (i for 32 bits, l for 64) and its code.
type row struct {
	Support
	params         string
	handle         handler
	sinceSnapshot1 bool // not in wasi_unstable
}

// table is everything that the definition has.
var table = [...]row{
	{Support{"args_get", ""}, "ii", argsGet, false},
	{Support{"args_sizes_get", ""}, "ii", argsSizesGet, false},
	{Support{"clock_res_get", ""}, "ii", clockResGet, false},
	{Support{"clock_time_get", "the precision is not used: every clock is read exactly"}, "ili", clockTimeGet, false},
	{Support{"environ_get", ""}, "ii", environGet, false},
	{Support{"environ_sizes_get", ""}, "ii", environSizesGet, false},
	{Support{"fd_advise", ""}, "illi", fdAdvise, false},
	{Support{"fd_allocate", "ENOTSUP on a file system without fallocate(2)"}, "ill", fdAllocate, false},
	{Support{"fd_close", ""}, "i", fdClose, false},
	{Support{"fd_datasync", ""}, "i", fdDatasync, false},
	{Support{"fd_fdstat_get", ""}, "ii", fdFdstatGet, false},
	{Support{"fd_fdstat_set_flags", "DSYNC, RSYNC and SYNC are fixed when a file is opened (EINVAL)"}, "ii", fdFdstatSetFlags, false},
	{Support{"fd_fdstat_set_rights", ""}, "ill", fdFdstatSetRights, false},
	{Support{"fd_filestat_get", ""}, "ii", fdFilestatGet, false},
	{Support{"fd_filestat_set_size", ""}, "il", fdFilestatSetSize, false},
	{Support{"fd_filestat_set_times", ""}, "illi", fdFilestatSetTimes, false},
	{Support{"fd_pread", ""}, "iiili", fdPread, false},
	{Support{"fd_prestat_dir_name", ""}, "iii", fdPrestatDirName, false},
	{Support{"fd_prestat_get", "a preopened socket has tag 1, which the definition leaves open"}, "ii", fdPrestatGet, false},
	{Support{"fd_pwrite", "with APPEND it writes at the end, as Linux does"}, "iiili", fdPwrite, false},
	{Support{"fd_read", ""}, "iiii", fdRead, false},
	{Support{"fd_readdir", ""}, "iiili", fdReaddir, false},
	{Support{"fd_renumber", ""}, "ii", fdRenumber, false},
	{Support{"fd_seek", ""}, "ilii", fdSeek, false},
	{Support{"fd_sync", ""}, "i", fdSync, false},
	{Support{"fd_tell", ""}, "ii", fdTell, false},
	{Support{"fd_write", ""}, "iiii", fdWrite, false},
	{Support{"path_create_directory", ""}, "iii", pathCreateDirectory, false},
	{Support{"path_filestat_get", ""}, "iiiii", pathFilestatGet, false},
	{Support{"path_filestat_set_times", ""}, "iiiilli", pathFilestatSetTimes, false},
	{Support{"path_link", ""}, "iiiiiii", pathLink, false},
	{Support{"path_open", "of the rights asked for only FD_READ and FD_WRITE narrow, and a path that leads out of the directory is EPERM, as in wasmtime"}, "iiiiillii", pathOpen, false},
	{Support{"path_readlink", ""}, "iiiiii", pathReadlink, false},
	{Support{"path_remove_directory", ""}, "iii", pathRemoveDirectory, false},
	{Support{"path_rename", ""}, "iiiiii", pathRename, false},
	{Support{"path_symlink", "an absolute target is EPERM, as in wasmtime"}, "iiiii", pathSymlink, false},
	{Support{"path_unlink_file", ""}, "iii", pathUnlinkFile, false},
	{Support{"poll_oneoff", "nbytes is 1 where something can be read or written; processor clocks are ENOTSUP"}, "iiii", pollOneoff, false},
	{Support{"proc_exit", ""}, "i", nil, false},
	{Support{"proc_raise", "the default action of the signal; those that stop a process are ENOTSUP"}, "i", procRaise, false},
	{Support{"random_get", ""}, "ii", randomGet, false},
	{Support{"sched_yield", ""}, "", schedYield, false},
	{Support{"sock_accept", ""}, "iii", sockAccept, true},
	{Support{"sock_recv", ""}, "iiiiii", sockRecv, false},
	{Support{"sock_send", ""}, "iiiii", sockSend, false},
	{Support{"sock_shutdown", ""}, "ii", sockShutdown, false},
}

// Supported is the table of functions, in alphabetical order.
func Supported() []Support {
	list := make([]Support, len(table))
	for i := range table {
		list[i] = table[i].Support
	}
	return list
}
