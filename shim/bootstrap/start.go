// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/shim/record"
)

// SocketFD is the listening socket's descriptor in the shim process.
const SocketFD = 3

// Start answers containerd's `start` on stdout with the address of the group's
// shim process, made if there is none. The working directory is the bundle.
// Nothing goes to stderr but the error of a failing start: containerd reads
// both as one answer.
func Start(inv *Invocation, stdin *os.File, stdout io.Writer) error {
	req, err := ReadRequest(stdin, inv)
	if err != nil {
		return err
	}
	if req.TTRPC != "" {
		inv.TTRPCAddress = req.TTRPC
	}
	if inv.Address == "" {
		inv.Address = req.GRPC
	}
	inv.Debug = req.Debug
	bundle, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the bundle: %w", err)
	}
	inv.Socket, err = socketPath(req.SocketDir, inv.Address, inv.Namespace, group(bundle, inv.ID))
	if err != nil {
		return err
	}
	socket, err := listen(inv.Socket)
	if err != nil {
		return err
	}
	address := unixScheme + inv.Socket
	// Before the shim process, which no containerd would find without it: this
	// fails where a restarted one has already given the bundle up.
	err = record.WriteFile(path.Join(bundle, addressFile), []byte(address))
	if socket != nil {
		defer socket.Close()
		if err == nil {
			err = spawn(inv, req, socket)
		}
		if err != nil {
			_ = os.Remove(inv.Socket)
		}
	}
	if err != nil {
		return fmt.Errorf("start the shim process: %w", err)
	}
	_, err = stdout.Write(req.answer(address))
	return err
}

// spawn starts the shim process with the socket as descriptor 3. It inherits
// neither stdout nor stderr: containerd waits for their end.
func spawn(inv *Invocation, req *Request, socket *os.File) error {
	if os.Getenv("SCHED_CORE") != "" {
		// A cookie of our own, which the shim and its containers inherit:
		// nobody else's threads run beside theirs on one core.
		if err := unix.Prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_CREATE, 0, unix.PR_SCHED_CORE_SCOPE_PROCESS_GROUP, 0); err != nil {
			return fmt.Errorf("enable core scheduling: %w", err)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	args := []string{os.Args[0], "-namespace", inv.Namespace, "-id", inv.ID, "-address", inv.Address, "-socket", inv.Socket}
	if inv.Debug {
		args = append(args, "-debug")
	}
	// Not os.StartProcess, which forks once more to find out about pidfds.
	pid, err := syscall.ForkExec("/proc/self/exe", args, &syscall.ProcAttr{
		Env:   environment(inv),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), socket.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	runtime.KeepAlive(socket)
	if err != nil {
		return err
	}
	if err := joinCgroup(req.ShimCgroup, pid); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return err
	}
	return nil
}

// environment of the shim process: containerd's own (proxies, credentials,
// GO… settings) stays with containerd.
func environment(inv *Invocation) []string {
	env := []string{
		"TTRPC_ADDRESS=" + inv.TTRPCAddress,
		// Few stacks and caches: the shim waits, it does not compute. But not one: a
		// fork keeps its processor until the child executes, and a child that is born
		// while Kill has the cgroup frozen waits for another to thaw it.
		"GOMAXPROCS=2",
	}
	// HOME and XDG_CACHE_HOME are where a rootless user has the compile cache.
	for _, key := range []string{"PATH", "TMPDIR", "DBUS_SYSTEM_BUS_ADDRESS", "HOME", "XDG_CACHE_HOME"} {
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	return env
}

// joinCgroup moves the shim process into the cgroup of runc's option
// ShimCgroup, which exists: in every v1 hierarchy that has it, or in the v2 one.
func joinCgroup(group string, pid int) error {
	if group == "" {
		return nil
	}
	const mount = "/sys/fs/cgroup"
	roots := []string{mount}
	controllers, err := os.ReadDir(mount)
	if err != nil {
		return fmt.Errorf("join the shim's cgroup: %w", err)
	}
	for _, c := range controllers {
		roots = append(roots, path.Join(mount, c.Name()))
	}
	var joined bool
	for _, root := range roots {
		procs := path.Join(root, path.Join("/", group), "cgroup.procs")
		f, err := os.OpenFile(procs, os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		_, err = f.WriteString(strconv.Itoa(pid))
		f.Close()
		if err != nil {
			return fmt.Errorf("join the shim's cgroup: %w", err)
		}
		joined = true
	}
	if !joined {
		return fmt.Errorf("the shim's cgroup %s does not exist", group)
	}
	return nil
}
