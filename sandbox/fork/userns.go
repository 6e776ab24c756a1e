// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fork

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// UserNamespace makes a user namespace with these mappings.
func UserNamespace(uids, gids []specs.LinuxIDMapping) (*os.File, error) {
	var (
		pid   int
		errno syscall.Errno
	)
	onForkingThread(func() { pid, errno = forkHolder() })
	if errno != 0 {
		return nil, fmt.Errorf("making a user namespace: %w", errno)
	}
	defer func() {
		_ = unix.Kill(pid, unix.SIGKILL) // ours until it is reaped below
		wait(func() error { _, err := unix.Wait4(pid, nil, unix.WALL, nil); return err })
	}()
	proc := fmt.Sprintf("/proc/%d/", pid)
	if err := os.WriteFile(proc+"uid_map", idMap(uids), 0); err != nil {
		return nil, fmt.Errorf("mapping users into the user namespace: %w", err)
	}
	if err := os.WriteFile(proc+"gid_map", idMap(gids), 0); err != nil {
		return nil, fmt.Errorf("mapping groups into the user namespace: %w", err)
	}
	ns, err := os.OpenFile(proc+"ns/user", os.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the user namespace: %w", err)
	}
	return ns, nil
}

func idMap(m []specs.LinuxIDMapping) []byte {
	var b strings.Builder
	for _, e := range m {
		fmt.Fprintf(&b, "%d %d %d\n", e.ContainerID, e.HostID, e.Size)
	}
	return []byte(b.String())
}

// forkHolder forks a child that only holds a new user namespace. It has its own
// copy of the memory, for both go on at once; it shares the descriptors, so
// that it holds no copies of them open.
func forkHolder() (int, syscall.Errno) {
	syscall.ForkLock.Lock()
	pid, errno := rawForkHolder()
	afterFork()
	syscall.ForkLock.Unlock()
	return pid, errno
}

//go:noinline
//go:norace
//go:nocheckptr
func rawForkHolder() (int, syscall.Errno) {
	// The stack argument stays zero: the child has a copy of this one.
	const flags = unix.CLONE_NEWUSER | unix.CLONE_FILES
	beforeFork()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		hold()
	}
	return int(pid), errno
}

// hold waits for SIGKILL: from the parent, or from the kernel at its end.
//
//go:noinline
//go:nosplit
//go:norace
func hold() {
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}
