// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package stdio

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"
)

// readyTimeout is how long a log program may take to say that it is ready.
const readyTimeout = 10 * time.Second

// logger is a running log program: it reads the guest's stdout and stderr from
// its descriptors 3 and 4, and tells on 5 that it is ready, by a byte
// (binary-v2) or by closing it.
type logger struct {
	cmd *exec.Cmd
	// stdout and stderr are the guest's ends.
	stdout, stderr *os.File
}

// programArgs are a log program's arguments: each key of the URI's query and
// its first value, in the keys' order.
func programArgs(query url.Values) []string {
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var args []string
	for _, k := range keys {
		args = append(args, k)
		if v := query[k]; len(v) > 0 && v[0] != "" {
			args = append(args, v[0])
		}
	}
	return args
}

// startLogger starts the program and waits until it is ready.
func startLogger(ctx context.Context, t target, id, namespace string) (_ *logger, err error) {
	var files []*os.File
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			err = fmt.Errorf("start the log program %s: %w", t.path, err)
		}
	}()
	var ends [3][2]*os.File // each: reading, writing end
	for i := range ends {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		ends[i] = [2]*os.File{r, w}
		files = append(files, r, w)
	}
	cmd := exec.Command(t.path, t.args...)
	cmd.Env = []string{"CONTAINER_ID=" + id, "CONTAINER_NAMESPACE=" + namespace}
	cmd.ExtraFiles = []*os.File{ends[0][0], ends[1][0], ends[2][1]}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	if err := awaitReady(ctx, ends[2][0], t.ready); err != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		return nil, err
	}
	ends[2][0].Close()
	return &logger{cmd: cmd, stdout: ends[0][1], stderr: ends[1][1]}, nil
}

// awaitReady reads the byte of a binary-v2 program, or waits for a binary
// program's byte or end of file.
func awaitReady(ctx context.Context, r *os.File, byteNeeded bool) error {
	if err := r.SetReadDeadline(time.Now().Add(readyTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err := r.Read(make([]byte, 1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it was not ready in time")
	case n == 0 && byteNeeded:
		return fmt.Errorf("it ended, or closed its descriptor 5, without a ready byte")
	}
	return nil
}

// wait gives the program, whose input has ended, time to end by itself, then
// asks it to, then, after as much time again, kills it.
func (l *logger) wait(patience time.Duration) {
	for i, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		t := time.AfterFunc(time.Duration(i+1)*patience, func() {
			log.L.Warnf("the log program %s does not end: %s", l.cmd.Path, unix.SignalName(sig))
			_ = unix.Kill(-l.cmd.Process.Pid, sig)
		})
		defer t.Stop()
	}
	_ = l.cmd.Wait()
}
