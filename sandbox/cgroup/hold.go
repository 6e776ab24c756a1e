// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"containerd-shim-wazero/sandbox/config"
)

// holder is a process that does nothing: systemd opens a scope only around a
// live process, and removes it when the last one ends. It holds the scope until
// the container's first process is born there.
type holder struct {
	cmd *exec.Cmd
	pid int
	end io.Closer
}

// hold starts this program again in the part of a holder.
func hold() (*holder, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"hold"}
	cmd.Env = []string{config.RoleEnv + "=" + config.RoleHold}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	end, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("hold a systemd scope: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("hold a systemd scope: %w", err)
	}
	return &holder{cmd: cmd, pid: cmd.Process.Pid, end: end}, nil
}

// release ends the holder; also on nil.
func (h *holder) release() {
	if h == nil {
		return
	}
	h.end.Close()
	h.cmd.Process.Kill()
	h.cmd.Wait()
}

// Hold is the whole life of a holder process (config.RoleHold): it ends with
// its standard input, which the shim holds open.
func Hold() {
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}
