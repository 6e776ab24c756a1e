// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"math"
	"time"

	"containerd-shim-wazero/sandbox/wasi/clock"
	"containerd-shim-wazero/sandbox/wasi/descriptor"
	"containerd-shim-wazero/sandbox/wasi/poll"
)

// The sizes of what poll_oneoff reads and writes.
const (
	subscriptionSize         = 48
	subscriptionSizeUnstable = 56
	eventSize                = 32
)

// The event types of the definition.
const (
	eventClock = iota
	eventFdRead
	eventFdWrite
)

// pollSlot is where the poller has a descriptor, if it belongs to this poll.
type pollSlot struct {
	poll  uint32
	index int32
}

// pass is one call of poll_oneoff. Subscriptions are read twice: to find what to
// wait for, and to see what came; so nothing is kept for each.
type pass struct {
	*Front
	start   int64 // monotonic, once a relative time asked for it
	timeout time.Duration
	ready   bool // something needs no waiting
}

// poll_oneoff(in, out, nsubscriptions, nevents): wait until one of the
// subscriptions has something to say.
//
//	subscription: 0 userdata u64 | 8 type u8 | 16 clock or descriptor
//	clock:        0 id u32 | 8 timeout u64 | 16 precision u64 | 24 flags u16
//	descriptor:   0 fd u32
//	event:        0 userdata u64 | 8 errno u16 | 10 type u8 | 16 nbytes u64 | 24 flags u16
//
// In wasi_unstable a clock has another userdata before its id.
func pollOneoff(f *Front, p []uint64) Errno {
	size := uint32(subscriptionSize)
	if f.unstable {
		size = subscriptionSizeUnstable
	}
	n := uint32(p[2])
	subs, ok1 := f.array(uint32(p[0]), n, size)
	events, ok2 := f.array(uint32(p[1]), n, eventSize)
	result, ok3 := f.Bytes(uint32(p[3]), 4)
	switch {
	case !ok1 || !ok2 || !ok3:
		return ErrnoFault
	case n == 0:
		return ErrnoInval
	}
	q := pass{Front: f}
	for {
		if errno := q.gather(subs, int(size)); errno != ErrnoSuccess {
			return errno
		}
		if errno := q.wait(); errno != 0 {
			return ErrnoOf(errno)
		}
		if came := q.report(subs, int(size), events); came > 0 {
			le.PutUint32(result, uint32(came))
			return ErrnoSuccess
		}
	}
}

// gather finds what to wait for and until when.
func (q *pass) gather(subs []byte, size int) Errno {
	f := q.Front
	f.sys.Poller.Reset()
	f.nextPoll()
	q.timeout, q.ready = poll.Forever, false
	for ; len(subs) >= size; subs = subs[size:] {
		switch sub := subs[16:]; subs[8] {
		case eventClock:
			left, errno := q.left(sub)
			if errno != ErrnoSuccess || left <= 0 {
				q.ready = true
			}
			q.timeout = min(q.timeout, left)
		case eventFdRead:
			q.watch(le.Uint32(sub), poll.In)
		case eventFdWrite:
			q.watch(le.Uint32(sub), poll.Out)
		default:
			return ErrnoInval
		}
	}
	return ErrnoSuccess
}

// nextPoll makes the slots of earlier polls void.
func (f *Front) nextPoll() {
	f.pollID++
	if f.pollID == 0 {
		clear(f.slots)
		f.pollID = 1
	}
	if n := f.sys.Table.Size(); n > len(f.slots) {
		f.slots = append(f.slots, make([]pollSlot, n-len(f.slots))...)
	}
}

// watch has the poller look at a descriptor, once however often it is
// subscribed to.
func (q *pass) watch(fd uint32, want poll.Events) {
	e, errno := q.entry(uint64(fd), rightPollFdReadwrite)
	if errno != ErrnoSuccess {
		q.ready = true
		return
	}
	d, ok := e.Descriptor.(descriptor.Pollable)
	if !ok {
		q.ready = true
		return
	}
	pfd := d.PollFD()
	if pfd < 0 {
		q.ready = true
		return
	}
	slot := &q.slots[fd]
	if slot.poll == q.pollID {
		q.sys.Poller.Want(int(slot.index), want)
		return
	}
	*slot = pollSlot{poll: q.pollID, index: int32(q.sys.Poller.Add(pfd, want))}
}

// recheck bounds one wait for a time of the day, since the clock may be set.
const recheck = time.Minute

// left is how long a clock subscription still has to wait.
func (q *pass) left(sub []byte) (time.Duration, Errno) {
	if q.unstable {
		sub = sub[8:]
	}
	id, timeout, flags := le.Uint32(sub), le.Uint64(sub[8:]), le.Uint16(sub[24:])
	if id >= uint32(len(clocks)) || flags&^1 != 0 {
		return 0, ErrnoInval
	}
	c := clocks[id]
	if c != clock.Realtime && c != clock.Monotonic {
		return 0, ErrnoNotsup
	}
	end := int64(min(timeout, math.MaxInt64))
	if flags&1 == 0 {
		now := clock.Now(clock.Monotonic)
		if q.start == 0 {
			q.start = now
		}
		return time.Duration(end - (now - q.start)), ErrnoSuccess
	}
	left := time.Duration(end - clock.Now(c))
	if c == clock.Realtime {
		left = min(left, recheck)
	}
	return left, ErrnoSuccess
}

// short is a time that passes while the kernel would still be setting a timer:
// until it is over, descriptors are only looked at.
const short = 20 * time.Microsecond

func (q *pass) wait() descriptor.Errno {
	timeout := q.timeout
	if q.ready || timeout < short {
		if q.sys.Poller.Len() == 0 {
			return 0
		}
		timeout = 0
	}
	_, errno := q.sys.Poller.Wait(timeout)
	return errno
}

// report stores an event for each subscription that has something to say. Its
// output may lie over its input: the guest then reads nonsense.
func (q *pass) report(subs []byte, size int, events []byte) (n int) {
	for ; len(subs) >= size; subs = subs[size:] {
		var e event
		switch sub := subs[16:]; subs[8] {
		case eventClock:
			left, errno := q.left(sub)
			e = event{happened: left <= 0 || errno != ErrnoSuccess, errno: errno}
		case eventFdRead:
			e = q.readiness(le.Uint32(sub), poll.In)
		case eventFdWrite:
			e = q.readiness(le.Uint32(sub), poll.Out)
		}
		if e.happened {
			e.put(events[n*eventSize:], le.Uint64(subs), subs[8])
			n++
		}
	}
	return n
}

// event is what came of a subscription.
type event struct {
	happened bool
	errno    Errno
	bytes    uint64
	hangup   bool
}

// readiness is what came for a descriptor. How many bytes wait is not asked: one
// stands for some.
func (q *pass) readiness(fd uint32, want poll.Events) event {
	e, errno := q.entry(uint64(fd), rightPollFdReadwrite)
	if errno != ErrnoSuccess {
		return event{happened: true, errno: errno}
	}
	d, ok := e.Descriptor.(descriptor.Pollable)
	if !ok || d.PollFD() < 0 {
		return event{happened: true, bytes: 1}
	}
	slot := q.slots[fd]
	if slot.poll != q.pollID {
		return event{}
	}
	switch came := q.sys.Poller.Ready(int(slot.index)); {
	case came&poll.Nil != 0:
		return event{happened: true, errno: ErrnoBadf}
	case came&want != 0:
		return event{happened: true, bytes: 1, hangup: came&poll.Hup != 0}
	case came&(poll.Hup|poll.Err) != 0:
		return event{happened: true, hangup: true}
	}
	return event{}
}

func (e event) put(b []byte, userdata uint64, kind uint8) {
	le.PutUint64(b, userdata)
	le.PutUint16(b[8:], uint16(e.errno))
	le.PutUint16(b[10:], uint16(kind))
	le.PutUint32(b[12:], 0)
	le.PutUint64(b[16:], e.bytes)
	le.PutUint64(b[24:], 0)
	if e.hangup {
		b[24] = 1
	}
}
