// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package compile compiles a module in a process of its own: the shim's binary
// once more, which gives up all it could do harm with before it looks at the
// module's bytes. It has no network, no file but the module and the image it
// writes, no privileges, and limits of memory and time.
package compile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/engine/module"
)

// Limits of one compilation.
const (
	// WallTime that it may take, waiting for processors included.
	WallTime = 10 * time.Minute
	// CPUTime of all processors together.
	CPUTime = 15 * time.Minute
	// Memory is its address space in bytes, of which the Go runtime reserves
	// some hundred megabytes that it does not use.
	Memory = 5 << 30
	// ImageSize in bytes.
	ImageSize = 2 << 30
)

// Descriptors of a compile process.
const (
	fdModule = 3 + iota
	fdImage
	fdVerdict
)

// What a verdict begins with. A compile process that gives none has failed.
const (
	verdictDone    = 'd'
	verdictRefused = 'r' // and why, for the user
	verdictFailed  = 'f' // and why
)

// maxVerdict bounds what is read from a compile process, in bytes.
const maxVerdict = 4 << 10

// Process compiles a module in a process of its own and waits for it. It is a
// cache.CompileFunc. The process dies with the caller.
func Process(ctx context.Context, module, image *os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, WallTime, fmt.Errorf("it took longer than %v", WallTime))
	defer cancel()
	verdict, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer verdict.Close()
	log := &bounded{left: maxVerdict}
	cmd := command(ctx, module, image, write)
	cmd.Stderr = log
	// The death signal is that of the thread which forks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		write.Close()
		return fmt.Errorf("start the compile process: %w", err)
	}
	write.Close()
	text, _ := io.ReadAll(io.LimitReader(verdict, maxVerdict))
	err = cmd.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return judge(text, err, log.String())
}

func command(ctx context.Context, module, image, verdict *os.File) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{"wasm-compile"}
	cmd.Env = []string{config.RoleEnv + "=" + config.RoleCompile}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{module, image, verdict}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: unix.SIGKILL,
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS |
			unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	return cmd
}

// judge makes an error of what a compile process has said and of how it ended.
func judge(verdict []byte, ended error, log string) error {
	if len(verdict) > 0 && ended == nil {
		text := module.Printable(string(verdict[1:]))
		switch verdict[0] {
		case verdictDone:
			return nil
		case verdictRefused:
			return cache.Refusal(text)
		case verdictFailed:
			return errors.New(text)
		}
	}
	if strings.Contains(log, "out of memory") || strings.Contains(log, "cannot allocate memory") {
		return fmt.Errorf("it needs more than the %d GiB of memory that compiling may take", Memory>>30)
	}
	line, _, _ := strings.Cut(log, "\n")
	if ended == nil {
		ended = errors.New("it ended without a verdict")
	}
	return fmt.Errorf("the compile process failed: %w: %s", ended, module.Printable(line))
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.Buffer.Write(p[:n])
	b.left -= n
	return len(p), nil
}
