// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"
)

// OnTerminal runs a command of the host on a terminal of its own, types the
// input, and answers with all that appears there as its stdout.
func OnTerminal(t testing.TB, cmd *exec.Cmd, input string) *Result {
	t.Helper()
	master, name, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := master.Resize(console.WinSize{Width: 80, Height: 25}); err != nil {
		t.Fatal(err)
	}
	end, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = end, end, end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	end.Close()
	if err != nil {
		t.Fatal(err)
	}
	var screen Output
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&screen, master) // until the last one has closed it
	}()
	if _, err := io.WriteString(master, input); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*Patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = cmd.Wait()
	<-read
	return &Result{t: t, what: cmd.String(), Status: cmd.ProcessState.ExitCode(), Stdout: screen.String()}
}
