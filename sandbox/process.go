// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/fork"
)

// Process is one sandbox process: a container's init, or an exec.
type Process struct {
	container *Container
	pid       int
	log       *logReader
	done      chan struct{}
	exit      Exit // set before done is closed

	timeout    time.Duration // 0 for none; set before the start
	cpuTimeout time.Duration // 0 for none; guarded by mu

	// conn is used by introduce alone, and then by start under mu.
	conn *control.Conn

	mu      sync.Mutex
	pidfd   *os.File    // nil once reaped; guarded by mu
	cause   unix.Signal // the signal that was asked for when the process was killed; guarded by mu
	timer   *time.Timer // of the timeout; guarded by mu
	waiting bool        // for its start; guarded by mu
}

// Exit is how a process ended.
type Exit struct {
	// Status is the guest's exit code, 128 and the signal's number when a
	// signal ended it, 134 after a trap.
	Status uint32
	Time   time.Time
}

// newProcess takes over a started process: it is reaped from here on.
func newProcess(c *Container, f *fork.Process, conn *control.Conn, log *logReader) *Process {
	p := &Process{container: c, pid: f.Pid, pidfd: f.Pidfd, conn: conn, log: log, done: make(chan struct{})}
	go p.reap(f.Pidfd)
	return p
}

// limitTime notes the process's deadlines, before it can reach them.
func (p *Process) limitTime(c *config.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timeout, p.cpuTimeout = c.Timeout, wholeSeconds(c.CPUTimeout)
}

// siginfo is the part of the kernel's siginfo_t that waitid fills in.
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	status                int32
	_                     [100]byte
}

const cldExited = 1

// reap waits for the process's end in the runtime's poller, so that it takes no
// thread, and collects it.
func (p *Process) reap(pidfd *os.File) {
	var info siginfo
	var usage unix.Rusage
	var err error
	raw, rerr := pidfd.SyscallConn()
	if rerr == nil {
		rerr = raw.Read(func(fd uintptr) bool {
			info, usage, err = waitid(int(fd))
			return err != unix.EAGAIN
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exit = Exit{Status: p.status(info, errors.Join(rerr, err)), Time: time.Now()}
	p.outOfCPUTime(info, usage)
	_ = p.pidfd.Close()
	p.pidfd = nil
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.waiting { // else its last words are still to be read
		_ = p.conn.Close()
	}
	close(p.done)
}

// waitid collects a process that has ended and what it has used, or returns
// EAGAIN.
func waitid(pidfd int) (info siginfo, usage unix.Rusage, err error) {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PIDFD, uintptr(pidfd), uintptr(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WNOHANG|unix.WALL, uintptr(unsafe.Pointer(&usage)), 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return info, usage, errno
		case info.pid == 0:
			return info, usage, unix.EAGAIN
		default:
			return info, usage, nil
		}
	}
}

// status is what the kernel says, or the signal that was asked for where the
// kernel had to be told another.
func (p *Process) status(info siginfo, err error) uint32 {
	switch {
	case err != nil:
		return 255
	case info.code == cldExited:
		return uint32(info.status) & 0xff
	case unix.Signal(info.status) == unix.SIGKILL && p.cause != 0:
		return 128 + uint32(p.cause)
	default:
		return 128 + uint32(info.status)
	}
}

// outOfCPUTime tells the operator of a process that the kernel has killed at its
// limit of processor time. The caller holds mu.
func (p *Process) outOfCPUTime(info siginfo, usage unix.Rusage) {
	if p.cpuTimeout == 0 || p.cause != 0 || info.code == cldExited || unix.Signal(info.status) != unix.SIGKILL {
		return
	}
	used := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if limit := p.cpuTimeout; used >= limit-limit/10 { // the kernel's two clocks differ by a few ticks
		p.container.say(fmt.Sprintf("process %d has used up its cpu-timeout of %v and was killed", p.pid, limit))
	}
}

// Pid is the process's pid as the host sees it.
func (p *Process) Pid() int { return p.pid }

// Done is closed when the process has been reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the process ended, valid after Done.
func (p *Process) Exit() Exit { return p.exit }

// harmless are the signals that do nothing to a process without handlers, and
// the stops of a terminal's job control, which no shell here would ever end.
func harmless(sig unix.Signal) bool {
	switch sig {
	case 0, unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return true
	}
	return false
}

// Signal does to the process what sig does to a Linux process without
// handlers: a signal whose default action is to end ends it with status
// 128+sig, SIGSTOP and SIGCONT are real, the rest does nothing.
// After the exit the error is errdefs.ErrNotFound.
func (p *Process) Signal(sig unix.Signal) error {
	if sig < 0 || sig > 64 {
		return fmt.Errorf("signal %d is unknown: %w", int(sig), errdefs.ErrInvalidArgument)
	}
	p.mu.Lock()
	if p.pidfd == nil {
		p.mu.Unlock()
		return fmt.Errorf("process %d has ended: %w", p.pid, errdefs.ErrNotFound)
	}
	var err error
	ends := false
	switch {
	case harmless(sig):
	case sig == unix.SIGSTOP || sig == unix.SIGCONT:
		err = unix.PidfdSendSignal(int(p.pidfd.Fd()), sig, nil, 0)
	default:
		err, ends = p.kill(sig), true
	}
	p.mu.Unlock()
	if err == unix.ESRCH { // ended, not yet reaped
		return fmt.Errorf("process %d has ended: %w", p.pid, errdefs.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	if ends {
		return p.container.letDie(p)
	}
	return nil
}

// kill ends the process on behalf of sig. The caller holds mu.
func (p *Process) kill(sig unix.Signal) error {
	if p.pidfd == nil {
		return unix.ESRCH
	}
	if p.cause == 0 {
		p.cause = sig
	}
	return unix.PidfdSendSignal(int(p.pidfd.Fd()), unix.SIGKILL, nil, 0)
}

// abort ends a process that shall not start and waits for its end.
func (p *Process) abort() {
	p.mu.Lock()
	_ = p.kill(unix.SIGKILL)
	p.mu.Unlock()
	_ = p.conn.Close()
	<-p.done
}

// Start lets the guest run; for init with the startContainer and poststart hooks.
func (p *Process) Start(ctx context.Context) error {
	init := p.container.init == p
	if init {
		if err := p.container.beforeStart(ctx); err != nil {
			p.abort()
			return err
		}
	}
	if err := p.start(); err != nil {
		return err
	}
	if init {
		if err := p.container.afterStart(ctx); err != nil {
			p.abort()
			return err
		}
	}
	return nil
}

func (p *Process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd == nil {
		return fmt.Errorf("process %d has ended before its start: %w", p.pid, errdefs.ErrFailedPrecondition)
	}
	if !p.waiting {
		return fmt.Errorf("process %d has been started already: %w", p.pid, errdefs.ErrFailedPrecondition)
	}
	p.waiting = false
	defer p.conn.Close()
	if p.timeout > 0 {
		p.timer = time.AfterFunc(p.timeout, p.expire)
	}
	if err := p.conn.Send(control.TypeStart, nil); err != nil {
		return fmt.Errorf("start process %d, which has probably ended: %w", p.pid, errors.Join(err, errdefs.ErrFailedPrecondition))
	}
	return nil
}

// expire ends a process that has used up its time.
func (p *Process) expire() {
	p.container.say(fmt.Sprintf("process %d has run for its timeout of %v and is ended", p.pid, p.timeout))
	_ = p.Signal(unix.SIGKILL)
}
