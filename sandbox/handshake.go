// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/control"
	"containerd-shim-wazero/sandbox/fork"
	"containerd-shim-wazero/sandbox/seccomp"
)

// introduce gives a new process all it needs and returns when it is ready.
// setup is nil for a process that joins a container.
func (p *Process) introduce(ctx context.Context, setup *control.Setup, trees []*os.File, c *config.Process, filter seccomp.Program) error {
	stop := context.AfterFunc(ctx, func() { _ = p.conn.File().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := p.talk(ctx, setup, trees, c, filter)
	if err == nil {
		p.introduced()
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("the sandbox was not ready in time: %w", context.Cause(ctx))
	}
	return err
}

// introduced leaves the control socket to start, or closes it after a process
// that has ended in the meantime.
func (p *Process) introduced() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = p.pidfd != nil
	if !p.waiting {
		_ = p.conn.Close()
	}
}

func (p *Process) talk(ctx context.Context, setup *control.Setup, trees []*os.File, c *config.Process, filter seccomp.Program) error {
	if setup != nil {
		if err := p.send(control.TypeSetup, setup, trees...); err != nil {
			return err
		}
		if setup.Hooks {
			if err := p.runCreateHooks(ctx); err != nil {
				return err
			}
		}
	}
	if c.AppArmorProfile != "" || c.SELinuxLabel != "" {
		if err := p.sendLabel(c); err != nil {
			return err
		}
	}
	msg := control.Process{Process: *c, Filter: filter}
	msg.Seccomp = nil // the filter is what has become of it
	msg.Rlimits = withCPUTime(c.Rlimits, c.CPUTimeout)
	if err := p.send(control.TypeProcess, msg, p.container.limit.file); err != nil {
		return err
	}
	if c.Kind != config.Pause {
		return p.sendImage(ctx, c)
	}
	return p.ready()
}

// ready waits until only the start is missing.
func (p *Process) ready() error {
	f, err := p.receive(control.TypeReady)
	if err != nil {
		return err
	}
	f.Close()
	return nil
}

// wholeSeconds rounds up to what a limit of processor time is counted in.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1) / time.Second * time.Second
}

// withCPUTime adds a limit of processor time, at which the kernel kills.
func withCPUTime(limits []config.Rlimit, d time.Duration) []config.Rlimit {
	if d <= 0 {
		return limits
	}
	seconds := uint64(wholeSeconds(d) / time.Second)
	out := []config.Rlimit{{Type: unix.RLIMIT_CPU, Soft: seconds, Hard: seconds}}
	for _, l := range limits {
		if l.Type != unix.RLIMIT_CPU {
			out = append(out, l)
		} else if l.Soft < seconds {
			out[0] = l
		}
	}
	return out
}

// sendLabel has the process execute itself once more under its label.
func (p *Process) sendLabel(c *config.Process) error {
	exe, err := fork.Self()
	if err != nil {
		return err
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	if err := p.send(control.TypeLabel, control.Label{AppArmor: c.AppArmorProfile, SELinux: c.SELinuxLabel}, exe, proc); err != nil {
		return err
	}
	return nil
}

// sendImage compiles the module that the process has opened, hands it the image
// and waits until it is ready; a second time if the image turns out to be
// damaged.
func (p *Process) sendImage(ctx context.Context, c *config.Process) error {
	module, err := p.module(c)
	if err != nil {
		return err
	}
	defer module.Close()
	for try := 0; ; try++ {
		err := p.tryImage(ctx, c, module)
		if !errors.Is(err, control.ErrDamaged) || try == 1 {
			return err
		}
	}
}

// module is the file the module is read from.
func (p *Process) module(c *config.Process) (*os.File, error) {
	f, err := p.receive(control.TypeModule)
	if err != nil {
		return nil, err
	}
	if c.Module.Blob == "" && len(f.Files) == 1 {
		return f.Files[0], nil
	}
	f.Close()
	if c.Module.Blob == "" {
		return nil, errors.New("the sandbox did not hand over its module")
	}
	fd, err := unix.Open(c.Module.Blob, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the image's module: %w", err)
	}
	return os.NewFile(uintptr(fd), c.Module.Blob), nil
}

func (p *Process) tryImage(ctx context.Context, c *config.Process, module *os.File) error {
	entry, err := p.container.options.Cache.Ensure(ctx, module, moduleName(c), c.Module.MaxSize)
	if err != nil {
		return err
	}
	defer entry.Close()
	var msg control.Image
	if o := p.container.options; entry.Accepts && c.Network.Exposed && o.Exposed != nil {
		if msg.Preopen, err = o.Exposed(ctx); err != nil {
			return err
		}
	}
	if err := p.send(control.TypeImage, msg, entry.Image); err != nil {
		return err
	}
	err = p.ready()
	if errors.Is(err, control.ErrDamaged) {
		_ = entry.Discard()
	}
	return err
}

func moduleName(c *config.Process) string {
	if c.Module.Path == "" {
		return "of the image"
	}
	return c.Module.Path
}

// receive receives the frame that must come next, or the error in its place.
func (p *Process) receive(want control.Type) (*control.Frame, error) {
	f, err := p.conn.Receive()
	if err != nil {
		return nil, p.explain(err)
	}
	if f.Type == want {
		return f, nil
	}
	defer f.Close()
	if f.Type != control.TypeError {
		return nil, fmt.Errorf("the sandbox sent a control message of type %d in place of %d", f.Type, want)
	}
	return nil, decodeError(f)
}

// send sends a frame. A process that has given up has said why before.
func (p *Process) send(t control.Type, body any, files ...*os.File) error {
	err := p.conn.Send(t, body, files...)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	f, rerr := p.receive(control.TypeError)
	if rerr != nil {
		return rerr
	}
	defer f.Close()
	return decodeError(f)
}

func decodeError(f *control.Frame) error {
	var e control.Error
	if err := f.Decode(&e); err != nil {
		return err
	}
	return e.Err()
}

// explain says why the control socket has broken: most likely the process has
// ended, and the kernel knows how.
func (p *Process) explain(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(time.Second):
		return fmt.Errorf("the sandbox process does not answer: %w", err)
	}
	if p.container.OOMKilled() {
		limit, _ := p.container.cgroup.MemoryLimit()
		return control.Errorf(errdefs.ErrFailedPrecondition,
			"the kernel killed the sandbox while it started: the container's memory limit of %d KiB is too little for it", limit>>10)
	}
	word := p.log.word()
	if strings.HasPrefix(word, "runtime: failed to create new OS thread") {
		return control.Errorf(errdefs.ErrResourceExhausted,
			"the sandbox process could not make its threads: raise the container's pids limit, or its RLIMIT_NPROC, by at least 8")
	}
	if word != "" {
		word = ": " + word
	}
	return control.Errorf(errdefs.ErrUnknown, "the sandbox process ended with status %d before it was ready%s", p.exit.Status, word)
}

var null struct {
	sync.Mutex
	file *os.File
}

// devNull is one descriptor of /dev/null for all processes.
func devNull() (*os.File, error) {
	null.Lock()
	defer null.Unlock()
	if null.file != nil {
		return null.file, nil
	}
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", os.DevNull, err)
	}
	null.file = os.NewFile(uintptr(fd), os.DevNull)
	return null.file, nil
}
