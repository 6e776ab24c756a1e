// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"
)

// Terminal is a command of the host on a terminal of its own.
type Terminal struct {
	t      testing.TB
	cmd    *exec.Cmd
	master console.Console
	screen Output
	read   chan struct{} // closed when the last one has closed the terminal
}

// OnTerminal starts a command on a terminal.
func OnTerminal(t testing.TB, cmd *exec.Cmd) *Terminal {
	t.Helper()
	master, name, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
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
	p := &Terminal{t: t, cmd: cmd, master: master, read: make(chan struct{})}
	go func() {
		defer close(p.read)
		_, _ = io.Copy(&p.screen, master)
	}()
	return p
}

// Type types.
func (p *Terminal) Type(text string) *Terminal {
	p.t.Helper()
	if _, err := io.WriteString(p.master, text); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// Expect waits for a text on the screen.
func (p *Terminal) Expect(text string) *Terminal {
	p.t.Helper()
	if !soon(Patience, func() bool { return strings.Contains(p.screen.String(), text) }) {
		p.t.Errorf("%s: %q does not appear in %q", p.cmd, text, p.screen.String())
	}
	return p
}

// Ends waits for the command's end; its stdout is all that has appeared.
func (p *Terminal) Ends() *Result {
	p.t.Helper()
	timer := time.AfterFunc(2*Patience, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = p.cmd.Wait()
	<-p.read
	p.master.Close()
	return &Result{t: p.t, what: p.cmd.String(), Status: p.cmd.ProcessState.ExitCode(), Stdout: p.screen.String()}
}
