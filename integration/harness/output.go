// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Output collects what a process writes.
type Output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

// String is everything so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// Len is the number of bytes so far.
func (o *Output) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Len()
}

// Result is how a process ended.
type Result struct {
	t    testing.TB
	what string

	Status         int
	Stdout, Stderr string
}

// Execute runs a command of the host, with twice the patience of others.
// Its process group is killed when that ends.
func Execute(t testing.TB, cmd *exec.Cmd) *Result {
	t.Helper()
	var stdout, stderr Output
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var late atomic.Bool
	timer := time.AfterFunc(2*Patience, func() {
		late.Store(true)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	defer timer.Stop()
	err := cmd.Wait()
	what := strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " ")
	if late.Load() {
		t.Fatalf("%s did not end within %s; stdout %q, stderr %q", what, 2*Patience, clip(stdout.String()), clip(stderr.String()))
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("%s: %v", what, err)
	}
	return &Result{t: t, what: what, Status: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

// Is fails the test unless the process ended with this status and wrote
// exactly this to stdout.
func (r *Result) Is(status int, stdout string) *Result {
	r.t.Helper()
	if r.Status != status || r.Stdout != stdout {
		r.t.Errorf("%s:\nstatus %d, stdout %q, stderr %q\nwant status %d, stdout %q",
			r.what, r.Status, clip(r.Stdout), clip(r.Stderr), status, clip(stdout))
	}
	return r
}

// Exits fails the test unless the process ended with this status.
func (r *Result) Exits(status int) *Result {
	r.t.Helper()
	if r.Status != status {
		r.t.Errorf("%s: status %d, want %d; stdout %q, stderr %q", r.what, r.Status, status, clip(r.Stdout), clip(r.Stderr))
	}
	return r
}

// Prints fails the test unless every text is somewhere in stdout.
func (r *Result) Prints(texts ...string) *Result {
	r.t.Helper()
	return r.contains("stdout", r.Stdout, texts)
}

// Complains fails the test unless every text is somewhere in stderr.
func (r *Result) Complains(texts ...string) *Result {
	r.t.Helper()
	return r.contains("stderr", r.Stderr, texts)
}

func (r *Result) contains(stream, have string, texts []string) *Result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(have, text) {
			r.t.Errorf("%s: %s is %q, want %q in it (status %d, stderr %q)", r.what, stream, clip(have), text, r.Status, clip(r.Stderr))
		}
	}
	return r
}

// clip keeps messages readable.
func clip(s string) string {
	const most = 4096
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// onEnd calls a function when a reader has come to its end.
type onEnd struct {
	io.Reader
	call func()
	once sync.Once
}

func (r *onEnd) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.once.Do(r.call)
	}
	return n, err
}
