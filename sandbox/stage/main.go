// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package stage is the sandbox process's side of a sandbox. The process is born
// in its cgroup and namespaces with the privileges it needs to set these up; it
// makes the mounts, enters the root, gives up every privilege, opens and loads
// the module as the container's user, puts itself under a filter of system
// calls, says so, and waits to be let go.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/engine"
	"containerd-shim-wazero/sandbox/engine/image"
	"containerd-shim-wazero/sandbox/privilege"
	"containerd-shim-wazero/sandbox/role"
	"containerd-shim-wazero/sandbox/seccomp"
)

// A sandbox process takes over here, in the middle of the program's
// initialisation: packages are initialised in the order of their import paths,
// each as soon as those it imports are done, and this one comes before the
// shim's libraries for protobuf and grpc, which take more time and memory than
// all that a sandbox needs. Nothing depends on it: main calls Main, too.
//
// Initialisation runs on the main thread, to which the death signal and the
// name that ps shows belong.
func init() {
	if os.Getenv(role.Env) == role.Sandbox {
		runtime.LockOSThread()
		Main()
	}
}

// Main is a sandbox process: what the shim's binary does in the role
// config.RoleSandbox. It does not return.
func Main() {
	conn, err := control.New(os.NewFile(config.FDControl, "control"), control.MaxToSandbox)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	run, err := prepare(conn)
	if err == nil {
		err = conn.Send(control.TypeReady, nil)
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			_ = conn.Send(control.TypeError, control.FromError(err))
		}
		os.Exit(1)
	}
	frame, err := conn.Receive()
	if err != nil || frame.Type != control.TypeStart {
		os.Exit(1)
	}
	_ = conn.Close()
	os.Exit(run())
}

// prepare brings the process to where only the start is missing, and returns
// what it then does.
func prepare(conn *control.Conn) (run func() int, err error) {
	for {
		frame, err := conn.Receive()
		if err != nil {
			return nil, err
		}
		switch frame.Type {
		case control.TypeSetup:
			err = setup(conn, frame)
		case control.TypeLabel:
			err = relabel(frame)
		case control.TypeProcess:
			defer frame.Close()
			return become(conn, frame)
		default:
			err = unexpected(frame)
		}
		frame.Close()
		if err != nil {
			return nil, err
		}
	}
}

func unexpected(f *control.Frame) error {
	return fmt.Errorf("a control message of type %d came out of turn", f.Type)
}

// become turns the process into what it shall be.
func become(conn *control.Conn, frame *control.Frame) (func() int, error) {
	var p control.Process
	if err := frame.Decode(&p); err != nil {
		return nil, err
	}
	limit, err := mapLimit(frame.Files, p.Rlimits)
	if err != nil {
		return nil, err
	}
	setName(&p.Process)
	if err := privilege.Drop(&p.Process); err != nil {
		return nil, err
	}
	if err := enter(p.Cwd); err != nil {
		return nil, err
	}
	run := pause
	if p.Kind != config.Pause {
		guest, err := load(conn, &p.Process, limit)
		if err != nil {
			return nil, err
		}
		run = func() int { return guest.Run(context.Background()) }
	}
	if err := privilege.Limit(p.Rlimits); err != nil {
		return nil, err
	}
	if err := answerSignals(); err != nil {
		return nil, err
	}
	if err := seccomp.Load(p.Filter); err != nil {
		return nil, err
	}
	return run, nil
}

// load opens the module, as the container's user, has the shim compile it and
// loads the result.
func load(conn *control.Conn, p *config.Process, limit engine.Limit) (*engine.Guest, error) {
	var files []*os.File
	if p.Module.Blob == "" {
		f, err := openModule(p)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files = append(files, f)
	}
	if err := conn.Send(control.TypeModule, nil, files...); err != nil {
		return nil, err
	}
	for {
		guest, err := loadImage(conn, p, limit)
		if !errors.Is(err, image.ErrDamaged) {
			return guest, err
		}
		// The shim compiles again, and gives up before long.
		damaged := control.Error{Kind: control.Damaged, Text: err.Error()}
		if err := conn.Send(control.TypeError, damaged); err != nil {
			return nil, err
		}
	}
}

func loadImage(conn *control.Conn, p *config.Process, limit engine.Limit) (*engine.Guest, error) {
	frame, err := conn.Receive()
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	if frame.Type != control.TypeImage || len(frame.Files) != 1 {
		return nil, unexpected(frame)
	}
	var msg control.Image
	if err := frame.Decode(&msg); err != nil {
		return nil, err
	}
	withPorts := *p
	withPorts.Network.Preopen = slices.Concat(p.Network.Preopen, msg.Preopen)
	guest, err := engine.Load(context.Background(), &withPorts, frame.Files[0], limit)
	var invalid *engine.InvalidError
	if errors.As(err, &invalid) {
		return nil, control.Errorf(errdefs.ErrInvalidArgument, "module %q %v", p.Module.Path, err)
	}
	return guest, err
}

// setName has ps show the module's name.
func setName(p *config.Process) {
	name := "pause"
	if p.Kind != config.Pause {
		name = path.Base(p.Module.Path)
	}
	if strings.ContainsRune(name, 0) {
		return
	}
	if b, err := unix.BytePtrFromString(name); err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, pointer(b), 0, 0, 0)
	}
}

// enter changes to the container's working directory.
func enter(cwd string) error {
	err := unix.Chdir(cwd)
	switch err {
	case nil:
		return nil
	case unix.ENOTDIR:
		return control.Errorf(errdefs.ErrInvalidArgument, "the working directory %q is no directory", cwd)
	case unix.EACCES:
		return control.Errorf(errdefs.ErrPermissionDenied, "the working directory %q: permission denied to the container's user", cwd)
	default:
		return fmt.Errorf("the working directory %q: %w", cwd, err)
	}
}
