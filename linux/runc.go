// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"containerd-shim-wazero/sandbox/fork"
)

const (
	// shimProgram is containerd's shim for runc, installed with containerd.
	shimProgram = "containerd-shim-runc-v2"
	runcProgram = "runc"
	// folder in a bundle is the working directory of the shim for runc. It has
	// one of its own: at its end it removes the socket that the file "address"
	// in its working directory names, which in the bundle is ours.
	folder = "linux"
	// patience bounds the first answer.
	patience = 10 * time.Second
)

// taskServices of the shim for runc: 3 since containerd 2.0, 2 before.
var taskServices = [...]string{"containerd.task.v3.Task", "containerd.task.v2.Task"}

// Installed says in a sentence which program is missing.
func Installed() error {
	for _, program := range []string{shimProgram, runcProgram} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the container runs a Linux program, for which %s is needed beside this runtime: install it in a folder of containerd's PATH: %w",
				program, errdefs.ErrFailedPrecondition)
		}
	}
	return nil
}

// runc is a running shim for runc, a child of this process that dies with it.
type runc struct {
	process *fork.Process
	client  *ttrpc.Client
	service string
	// ended is closed when the process has been reaped.
	ended chan struct{}
}

// start starts the shim for runc for containers of c's namespace, the first of
// which is id.
func start(ctx context.Context, c Config, id string) (_ *runc, err error) {
	listener, conn, err := connected(c.Socket)
	if err != nil {
		return nil, fmt.Errorf("make a socket for %s: %w", shimProgram, err)
	}
	process, err := launch(c, id, listener)
	listener.Close() // so that the connection ends with the process
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("start %s: %w", shimProgram, err)
	}
	r := &runc{process: process, ended: make(chan struct{}), client: ttrpc.NewClient(conn)}
	go r.reap()
	if err := r.probe(ctx); err != nil {
		r.kill()
		return nil, fmt.Errorf("%s does not answer: %w", shimProgram, err)
	}
	return r, nil
}

// connected is a listening socket with one connection to it. Its name is gone
// when it returns: nobody else can connect.
func connected(name string) (listener *os.File, conn net.Conn, err error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close() // which removes the name
	if conn, err = net.Dial("unix", name); err != nil {
		return nil, nil, err
	}
	if listener, err = l.File(); err != nil {
		conn.Close()
	}
	return listener, conn, err
}

// launch executes the program as its own `start` does, with the listening socket
// as descriptor 3, but as a child of this process.
func launch(c Config, id string, listener *os.File) (*fork.Process, error) {
	dir := filepath.Join(c.Bundle, folder)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// It logs to the FIFO "log" of its working directory: containerd reads ours.
	if err := os.Symlink(filepath.Join(c.Bundle, "log"), filepath.Join(dir, "log")); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	program, err := exec.LookPath(shimProgram)
	if err != nil {
		return nil, err
	}
	cwd, err := syscall.BytePtrFromString(dir)
	if err != nil {
		return nil, err
	}
	args := []string{shimProgram, "-namespace", c.Namespace, "-id", id, "-address", c.Address}
	if c.Debug {
		args = append(args, "-debug")
	}
	return fork.Start(&fork.Spec{
		Calls: []fork.Call{{
			Number: unix.SYS_CHDIR, Args: [5]uintptr{uintptr(unsafe.Pointer(cwd))}, Keep: cwd, What: "changing to " + dir,
		}},
		Files:    []*os.File{null, null, null, listener},
		Terminal: -1,
		Path:     program,
		Args:     args,
		Env:      append(os.Environ(), "NAMESPACE="+c.Namespace, "GRPC_ADDRESS="+c.Address),
	})
}

// probe waits until the shim answers and finds out which version of the task API
// it serves.
func (r *runc) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	for _, service := range taskServices {
		err = r.client.Call(ctx, service, "Connect", &taskapi.ConnectRequest{}, &taskapi.ConnectResponse{})
		if status.Code(err) != codes.Unimplemented {
			r.service = service
			break
		}
	}
	// An answer of whatever other kind is one; what has no status did not come from there.
	if st, answered := status.FromError(err); !answered || st.Code() == codes.Unimplemented || st.Code() == codes.DeadlineExceeded {
		return err
	}
	return nil
}

// call hands one request of the task API over.
func (r *runc) call(ctx context.Context, method string, req, resp proto.Message) error {
	return r.client.Call(ctx, r.service, method, req, resp)
}

// shutdown ends the shim, which has no containers, and waits for it.
func (r *runc) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = r.call(ctx, "Shutdown", &taskapi.ShutdownRequest{}, &taskapi.ConnectResponse{})
	select {
	case <-r.ended:
		r.client.Close()
	case <-ctx.Done():
		r.kill()
	}
}

// kill ends the process, by its pidfd: it may have ended, and its pid be another's.
func (r *runc) kill() {
	if raw, err := r.process.Pidfd.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	}
	<-r.ended
	r.client.Close()
}

// reap collects the process at its end.
func (r *runc) reap() {
	defer close(r.ended)
	raw, err := r.process.Pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		var info unix.Siginfo
		err := unix.EINTR
		for err == unix.EINTR {
			err, _ = unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WALL, nil).(syscall.Errno)
		}
		return err != 0 || info.Signo != 0
	})
	_ = r.process.Pidfd.Close()
}
