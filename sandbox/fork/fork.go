// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package fork starts a process in cgroups and namespaces, made for it or
// joined, user namespaces included. That takes one thing os/exec cannot do: a
// single-threaded child that joins before it makes the process. So a vforked
// intermediate child carries out a list of raw system calls, makes the process
// as its own sibling, which carries out a second list, the last of which is
// the exec.
//
// The kernel kills every process started here when the caller's process ends:
// all forks happen on one thread that lives as long as the program.
package fork

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Spec is a process to start.
type Spec struct {
	// CgroupProcs are open cgroup.procs files (v1) that the process is born
	// into; CgroupDir is an open directory of cgroup v2. Both may be absent.
	CgroupProcs []*os.File
	CgroupDir   *os.File
	// Join are the namespaces to enter, in this order.
	Join []Join
	// New is a set of CLONE_NEW… flags; CLONE_NEWUSER is not among them: make
	// one with UserNamespace and join it.
	New uint64
	// Root makes the process user 0 of the user namespace it has joined.
	Root bool
	// Calls are made by the process before the exec.
	Calls []Call
	// Files become the descriptors 0, 1, 2 … of the process; it gets no others.
	Files []*os.File
	// Terminal is the index in Files of what becomes the controlling
	// terminal, -1 for none.
	Terminal int
	// Exe is the program, or Path where that is nil. Exe may be O_PATH.
	Exe  *os.File
	Path string
	Args []string
	Env  []string
}

// Join is a namespace file with its CLONE_NEW… flag, or a pidfd with several.
type Join struct {
	Namespace *os.File
	Flags     int
	// What it is, for errors ("the network namespace").
	What string
}

// Call is one raw system call.
type Call struct {
	Number uintptr
	Args   [5]uintptr
	// What is being done, for errors ("setting the scheduler").
	What string
	// Optional calls may fail.
	Optional bool
	// Keep is what Args point to.
	Keep any
}

// Process is a started process. Nobody else may wait for it.
type Process struct {
	Pid int
	// Pidfd is non-blocking, so that the runtime's poller can watch it.
	Pidfd *os.File
}

// Error says at which step a process could not be started.
type Error struct {
	Step string
	Err  syscall.Errno
}

func (e *Error) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Start starts s. When it returns without an error the exec has succeeded.
func Start(s *Spec) (*Process, error) {
	p, err := compile(s)
	if err != nil {
		return nil, err
	}
	defer p.release()
	onForkingThread(func() { err = p.start() })
	runtime.KeepAlive(s)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(int(p.pidfd), true); err != nil {
		p.kill()
		return nil, fmt.Errorf("preparing the pidfd: %w", err)
	}
	return &Process{Pid: int(p.pid), Pidfd: os.NewFile(uintptr(p.pidfd), "pidfd")}, nil
}

// start runs on the forking thread. No child is left when it fails.
func (p *program) start() error {
	stage, errno := p.run()
	if errno != 0 {
		return &Error{Step: "forking", Err: errno}
	}
	var status unix.WaitStatus
	wait(func() error { _, err := unix.Wait4(stage, &status, unix.WALL, nil); return err })
	if err := p.failure(); err != nil {
		p.kill()
		return err
	}
	if status.Signaled() { // and the process, if there is one, has not come to its exec in peace
		p.kill()
		return fmt.Errorf("the forked child was ended by %v before the process was made", status.Signal())
	}
	return nil
}

// kill ends and reaps the process, if there is one.
func (p *program) kill() {
	if p.pidfd < 0 {
		return
	}
	pidfd := int(p.pidfd)
	p.pidfd = -1
	_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	wait(func() error { return unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED|unix.WALL, nil) })
	_ = unix.Close(pidfd)
}

func wait(f func() error) {
	for errors.Is(f(), unix.EINTR) {
	}
}

var forking struct {
	once sync.Once
	work chan func()
}

// onForkingThread runs f on the one thread that forks. PR_SET_PDEATHSIG fires
// at the end of the thread that forked, not of the process; this one is locked
// for ever and never changes namespaces.
func onForkingThread(f func()) {
	forking.once.Do(func() {
		forking.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range forking.work {
				f()
			}
		}()
	})
	done := make(chan struct{})
	forking.work <- func() { defer close(done); f() }
	<-done
}

var self struct {
	sync.Mutex
	file *os.File
}

// Self is the running binary, to be executed again: a detached, read-only
// mount of it, so that no process which gets hold of the descriptor can write
// to the file, and which needs no /proc.
func Self() (*os.File, error) {
	self.Lock()
	defer self.Unlock()
	if self.file != nil {
		return self.file, nil
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == unix.EINVAL {
		// Before Linux 6.15 a detached mount, which this process may itself
		// have been started from, cannot be cloned.
		self.file, err = readOnlyExe()
		return self.file, err
	}
	if err != nil {
		return nil, fmt.Errorf("opening the running binary: %w", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("making the mount of the running binary read-only: %w", err)
	}
	self.file = os.NewFile(uintptr(fd), "self")
	return self.file, nil
}

// readOnlyExe is the running binary where its mount already is read-only.
func readOnlyExe() (*os.File, error) {
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the running binary: %w", err)
	}
	var st unix.Statfs_t
	if err = unix.Fstatfs(fd, &st); err == nil && st.Flags&unix.ST_RDONLY == 0 {
		err = errors.New("its mount can be neither cloned nor is it read-only")
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("opening the running binary: %w", err)
	}
	return os.NewFile(uintptr(fd), "self"), nil
}

// pointer is for addresses that a child hands to the kernel.
func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }
