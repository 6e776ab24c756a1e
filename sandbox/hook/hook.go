// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package hook runs the programs that a bundle names for the stages of a
// container's life (OCI runtime specification, "POSIX-platform Hooks").
package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unsafe"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/fork"
)

const (
	// defaultTimeout is the time a hook has that names none.
	defaultTimeout = time.Minute
	// maxOutput is how many bytes of a failing hook's last output an error
	// carries.
	maxOutput = 1024
	// outputPatience is how long a hook that has ended may still be read from:
	// what it left running may hold its output open.
	outputPatience = 100 * time.Millisecond
)

// Run runs hooks one after the other, the first failing one ends it. Each gets
// the state as JSON on its standard input, its own environment and nothing of
// the shim's, a session of its own, and a deadline at which its process group
// is killed. It dies with the shim.
//
// A hook is started as base says, which may be in a container's namespaces, else
// in the shim's and in the bundle's folder. Its path is looked up there.
func Run(ctx context.Context, hooks []specs.Hook, state specs.State, base *fork.Spec) error {
	if len(hooks) == 0 {
		return nil
	}
	input, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("hooks: the container's state: %w", err)
	}
	for i := range hooks {
		dir := state.Bundle
		if base != nil {
			dir = "/"
		}
		if err := run(ctx, &hooks[i], input, dir, base); err != nil {
			return fmt.Errorf("hook %s: %w", hooks[i].Path, err)
		}
	}
	return nil
}

// run runs one hook to its end.
func run(ctx context.Context, h *specs.Hook, input []byte, dir string, base *fork.Spec) error {
	if !filepath.IsAbs(h.Path) {
		return fmt.Errorf("its path must be absolute: %w", errdefs.ErrInvalidArgument)
	}
	timeout := defaultTimeout
	if h.Timeout != nil {
		if *h.Timeout <= 0 {
			return fmt.Errorf("its timeout of %d seconds must be above zero: %w", *h.Timeout, errdefs.ErrInvalidArgument)
		}
		timeout = time.Duration(*h.Timeout) * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	streams, err := newStreams()
	if err != nil {
		return err
	}
	defer streams.close()
	p, err := start(h, dir, base, streams)
	if err != nil {
		return err
	}
	defer p.Pidfd.Close()
	output := streams.serve(input)
	status, err := wait(ctx, p)
	streams.ended()
	text := <-output
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("killed, as it did not end within %v%s: %w", timeout, text, errdefs.ErrAborted)
	case err != nil:
		return err
	case status != "":
		return fmt.Errorf("it failed with %s%s: %w", status, text, errdefs.ErrFailedPrecondition)
	}
	return nil
}

func start(h *specs.Hook, dir string, base *fork.Spec, s *streams) (*fork.Process, error) {
	cwd, err := syscall.BytePtrFromString(dir)
	if err != nil {
		return nil, fmt.Errorf("its folder %q: %w", dir, err)
	}
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	var spec fork.Spec
	if base != nil {
		spec = *base
	}
	spec.Calls = append(slices.Clip(spec.Calls), fork.Call{
		Number: unix.SYS_CHDIR, Args: [5]uintptr{uintptr(unsafe.Pointer(cwd))}, Keep: cwd, What: "changing to " + dir,
	})
	spec.Files, spec.Terminal = []*os.File{s.childIn, s.childOut, s.childOut}, -1
	spec.Path, spec.Args, spec.Env = h.Path, args, h.Env
	return fork.Start(&spec)
}

// wait waits for the hook's end and reaps it; when ctx ends first it kills the
// hook's process group. The status is empty for success.
func wait(ctx context.Context, p *fork.Process) (status string, err error) {
	conn, err := p.Pidfd.SyscallConn()
	if err != nil {
		return "", err
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = unix.Kill(-p.Pid, unix.SIGKILL) // its group has its pid, which is not reaped yet
	})
	var info unix.Siginfo
	var waitErr error
	err = conn.Read(func(fd uintptr) bool {
		for {
			waitErr = unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WALL|unix.WNOWAIT, nil)
			if !errors.Is(waitErr, unix.EINTR) {
				return waitErr != nil || info.Signo != 0
			}
		}
	})
	killed := !stop()
	if killed {
		<-done // before the pid can be another's
	}
	if err == nil {
		err = waitErr
	}
	if err != nil {
		return "", fmt.Errorf("waiting for it: %w", err)
	}
	for errors.Is(unix.Waitid(unix.P_PIDFD, int(p.Pidfd.Fd()), &info, unix.WEXITED|unix.WALL, nil), unix.EINTR) {
	}
	if killed {
		return "", context.Cause(ctx)
	}
	return describe(&info), nil
}

// describe says how a process ended, "" for success.
func describe(info *unix.Siginfo) string {
	// The kernel's siginfo_t of SIGCHLD: three ints, padding to the union's
	// alignment, then pid, uid and status.
	const statusOffset = 24
	const exited = 1 // CLD_EXITED
	status := *(*int32)(unsafe.Add(unsafe.Pointer(info), statusOffset))
	if info.Code != exited {
		return "signal " + unix.SignalName(unix.Signal(status))
	}
	if status == 0 {
		return ""
	}
	return fmt.Sprint("exit status ", status)
}

// printable makes output fit for one line of an error.
func printable(output []byte) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(string(output), "?")))
	if text == "" {
		return ""
	}
	return ": " + text
}
