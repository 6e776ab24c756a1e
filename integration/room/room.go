// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package room runs a test binary in a clean room: mount, network and pid
// namespaces of its own, so that nothing it starts or mounts reaches the
// machine and everything dies with it.
//
// The binary starts itself twice more: as the room's init, which furnishes
// the room and reaps orphans, and under it as the process that runs the
// tests. Inside, /run, /var/lib, /var/log and changes to /etc are the room's own, and
// so are the network and /proc; cgroups are the machine's and told apart by
// Name.
package room

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The environment tells the three processes apart.
const (
	roleKey = "CLEAN_ROOM"
	dirKey  = "CLEAN_ROOM_DIR"
	nameKey = "CLEAN_ROOM_NAME"

	roleInit   = "init"
	roleInside = "inside"
)

// Run answers with run's exit status after it has run in a clean room. What
// prepare does is done before that, outside, where the machine's network and
// caches are; it may leave things in the given folder, which Dir names inside.
func Run(prepare func(dir string) error, run func() int) int {
	switch os.Getenv(roleKey) {
	case roleInit:
		return initMain()
	case roleInside:
		os.Unsetenv(roleKey)
		return run()
	}
	status, err := outside(prepare)
	if err != nil {
		fmt.Fprintln(os.Stderr, "clean room:", err)
		return 1
	}
	return status
}

// Machine answers with run's exit status on a machine that was made for the
// tests and ends with them: it is a clean room as it stands, in which dir is
// Dir.
func Machine(dir string, run func() int) int {
	os.Setenv(dirKey, dir)
	os.Setenv(nameKey, filepath.Base(dir))
	return run()
}

// Dir is a folder on the disk that ends with the room.
func Dir() string { return os.Getenv(dirKey) }

// Name is unique to the room: containerd namespaces are named after it, so
// that cgroups at the top of a hierarchy begin with it.
func Name() string { return os.Getenv(nameKey) }

func outside(prepare func(dir string) error) (status int, err error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("these tests need root: run them as root or with sudo")
	}
	dir, err := os.MkdirTemp("/var/tmp", "clean-room-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		return 0, err
	}
	name := filepath.Base(dir)
	defer sweep(name)

	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), roleKey+"="+roleInit, dirKey+"="+dir, nameKey+"="+name,
		"TMPDIR="+filepath.Join(dir, "tmp"))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	runtime.LockOSThread() // PDEATHSIG is the forking thread's
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	stop := forward(cmd.Process.Pid)
	defer stop()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// forward passes the signals that end a test run on to a process.
func forward(pid int) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP)
	go func() {
		for s := range signals {
			_ = unix.Kill(pid, s.(syscall.Signal))
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// initMain is process 1 of the room: it starts the tests, reaps whatever is
// orphaned and ends with the tests' status, which ends the room.
func initMain() int {
	if err := furnish(Dir()); err != nil {
		fmt.Fprintln(os.Stderr, "clean room:", err)
		return 1
	}
	os.Setenv(roleKey, roleInside)
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "clean room: start the tests:", err)
		return 1
	}
	defer forward(pid)()
	status := reapUntil(pid)
	thaw()
	return status
}

func reapUntil(pid int) int {
	for {
		var status unix.WaitStatus
		reaped, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err != nil && err != unix.EINTR:
			return 1
		case reaped != pid:
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}
