// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package poll waits for file descriptors and for time by ppoll(2), with no
// goroutine, no registration and, once its list has grown, no allocation. A
// guest hands its whole set over at every wait, so a registered set (epoll)
// would only add system calls.
//
// System calls: ppoll.
package poll

import (
	"math"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Events are the conditions of poll(2): what is asked for, and what came.
type Events int16

// The events that can be asked for (In, Out) and those that come unasked.
const (
	In  Events = unix.POLLIN
	Out Events = unix.POLLOUT
	Err Events = unix.POLLERR
	Hup Events = unix.POLLHUP
	Nil Events = unix.POLLNVAL
)

// Forever is the timeout of a wait that only a descriptor ends.
const Forever time.Duration = math.MaxInt64

// Poller is a reusable list of descriptors to wait for.
type Poller struct {
	fds []unix.PollFd
}

// Reset empties the list and keeps its room, unless it has grown large.
func (p *Poller) Reset() {
	if cap(p.fds) > 1<<14 {
		p.fds = nil
	}
	p.fds = p.fds[:0]
}

// Len is the number of descriptors in the list.
func (p *Poller) Len() int { return len(p.fds) }

// Add puts a descriptor on the list and returns its index.
func (p *Poller) Add(fd int, want Events) int {
	p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: int16(want)})
	return len(p.fds) - 1
}

// Want adds to what is asked of the descriptor at index i.
func (p *Poller) Want(i int, want Events) { p.fds[i].Events |= int16(want) }

// Ready is what came for the descriptor at index i in the last wait.
func (p *Poller) Ready(i int) Events { return Events(p.fds[i].Revents) }

// Wait waits until a descriptor of the list is ready or the timeout is over,
// and returns how many are ready. One system call, unless a signal interrupts.
func (p *Poller) Wait(timeout time.Duration) (int, syscall.Errno) {
	return wait(unsafe.SliceData(p.fds), len(p.fds), timeout)
}

// One waits for one descriptor and returns what came; nothing and ETIMEDOUT
// when the timeout is over first. A timeout of zero asks without waiting.
func One(fd int, want Events, timeout time.Duration) (Events, syscall.Errno) {
	pfd := unix.PollFd{Fd: int32(fd), Events: int16(want)}
	n, errno := wait(&pfd, 1, timeout)
	switch {
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, syscall.ETIMEDOUT
	}
	return Events(pfd.Revents), 0
}

func wait(fds *unix.PollFd, n int, timeout time.Duration) (int, syscall.Errno) {
	if timeout == Forever {
		for {
			ready, errno := ppoll(fds, n, nil)
			if errno != syscall.EINTR {
				return ready, errno
			}
		}
	}
	start := time.Now()
	for left := max(timeout, 0); ; {
		ts := unix.NsecToTimespec(int64(left))
		ready, errno := ppoll(fds, n, &ts)
		if errno != syscall.EINTR {
			return ready, errno
		}
		left = max(timeout-time.Since(start), 0)
	}
}

func ppoll(fds *unix.PollFd, n int, timeout *unix.Timespec) (int, syscall.Errno) {
	r, _, errno := syscall.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(fds)), uintptr(n),
		uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
	return int(r), errno
}
