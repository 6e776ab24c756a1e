// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/wasi"
)

const (
	tracedEnv   = "WASI_POLL_TRACED"
	tracedPolls = 100
)

// TestPollIsOneCall: a poll on a socket, a pipe and a clock is one system call.
// A second process polls, and the kernel tells this one of its system calls.
func TestPollIsOneCall(t *testing.T) {
	if os.Getenv(tracedEnv) != "" {
		pollTraced(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), tracedEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	thread, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	calls, err := between(thread, unix.SYS_GETPPID, func() { _, _ = io.WriteString(in, "go\n") })
	if err != nil {
		t.Fatal(err)
	}
	if calls[unix.SYS_PPOLL] != tracedPolls {
		t.Errorf("%d polls were %d ppoll", tracedPolls, calls[unix.SYS_PPOLL])
	}
	// Go's own signals for its scheduler may come in between.
	for _, own := range []uint64{unix.SYS_PPOLL, unix.SYS_RT_SIGRETURN, unix.SYS_FUTEX, unix.SYS_TGKILL, unix.SYS_GETPID} {
		delete(calls, own)
	}
	if len(calls) != 0 {
		t.Errorf("beside ppoll these system calls were made: %v", calls)
	}
}

// pollTraced polls between two calls of getppid, once it is told to begin.
func pollTraced(t *testing.T) {
	r, peer := socketPair(t)
	_, w := pipe(t)
	if _, err := peer.WriteString("there"); err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, ModuleName, wasi.Config{Stdin: take(t, r), Stdout: take(t, w), Stderr: -1})
	g.subscribeFD(dataAt, 1, eventFdRead, 0)
	g.subscribeFD(dataAt+nextSub, 2, eventFdWrite, 1)
	g.subscribeClock(dataAt+2*nextSub, 3, 1, 1e12, 0)
	g.expectEvents(3, gotEvent{1, 0, eventFdRead, 5, 0}, gotEvent{2, 0, eventFdWrite, 0, 0})
	params := []uint64{dataAt, eventsAt, 3, resultAt}

	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	fmt.Println(unix.Gettid())
	var told [1]byte
	if _, err := unix.Read(0, told[:]); err != nil {
		t.Fatal(err)
	}
	unix.Getppid()
	copy(g.stack[1:], params)
	g.stack[0] = tracedPolls
	err := g.call["loop:poll_oneoff"].CallWithStack(context.Background(), g.stack[:])
	unix.Getppid()
	if err != nil {
		t.Fatal(err)
	}
}

func socketPair(t *testing.T) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { b.Close() })
	return a, b
}

// between counts the system calls that a thread makes between two of the marker,
// after begin has let it go.
func between(thread int, marker uint64, begin func()) (map[uint64]int, error) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(thread), 0, options, 0, 0); errno != 0 {
		return nil, fmt.Errorf("seize thread %d: %w", thread, errno)
	}
	if err := unix.PtraceInterrupt(thread); err != nil {
		return nil, err
	}
	calls, marks := map[uint64]int{}, 0
	for signal := 0; ; {
		var status unix.WaitStatus
		if _, err := unix.Wait4(thread, &status, unix.WALL, nil); err != nil {
			return nil, err
		}
		if !status.Stopped() {
			return nil, fmt.Errorf("the thread has ended: %#x", status)
		}
		signal = 0
		switch stop := status.StopSignal(); {
		case stop == unix.SIGTRAP|0x80:
			switch number, entered := entered(thread); {
			case !entered:
			case number == marker:
				if marks++; marks == 2 {
					return calls, unix.PtraceDetach(thread)
				}
			case marks == 1:
				calls[number]++
			}
		case int(status)>>16 == unix.PTRACE_EVENT_STOP: // of PtraceInterrupt
			if begin != nil {
				begin()
				begin = nil
			}
		default:
			signal = int(stop)
		}
		if err := unix.PtraceSyscall(thread, signal); err != nil {
			return nil, err
		}
	}
}

// entered says which system call a stopped thread is about to make; ok is false
// where it comes from one.
func entered(thread int) (number uint64, ok bool) {
	// struct ptrace_syscall_info, of linux/ptrace.h
	var info struct {
		op      uint8
		_       [3]byte
		_       uint32
		_, _    uint64
		number  uint64
		_       [6]uint64
		_, _, _ uint64
	}
	const getSyscallInfo, opEntry = 0x420e, 1
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(thread), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
	return info.number, errno == 0 && info.op == opEntry
}
