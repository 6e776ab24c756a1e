// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/wasi"
)

// eventsAt is where events go, beyond all subscriptions of most tests.
const eventsAt = 0x20000

type gotEvent struct {
	userdata uint64
	errno    Errno
	kind     byte
	bytes    uint64
	flags    uint16
}

// poll polls for n subscriptions at dataAt.
func (g *guest) poll(n uint64) (events []gotEvent) {
	g.t.Helper()
	g.must("poll_oneoff", dataAt, eventsAt, n, resultAt)
	for i := range g.uint32(resultAt) {
		b := []byte(g.get(eventsAt+i*eventSize, eventSize))
		events = append(events, gotEvent{
			le.Uint64(b), Errno(le.Uint16(b[8:])), b[10], le.Uint64(b[16:]), le.Uint16(b[24:]),
		})
	}
	return events
}

func (g *guest) expectEvents(n uint64, want ...gotEvent) {
	g.t.Helper()
	got := g.poll(n)
	if len(got) != len(want) {
		g.t.Errorf("events %+v, want %+v", got, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			g.t.Errorf("event %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

const nextSub = subscriptionSize

func TestPollPipes(t *testing.T) {
	r, toGuest := pipe(t)
	fromGuest, w := pipe(t)
	g := newGuest(t, ModuleName, wasi.Config{Stdin: take(t, r), Stdout: take(t, w), Stderr: -1})

	g.subscribeFD(dataAt, 1, eventFdRead, 0)
	g.subscribeClock(dataAt+nextSub, 2, 1, uint64(20*time.Millisecond), 0)
	start := time.Now()
	g.expectEvents(2, gotEvent{userdata: 2})
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	g.subscribeFD(dataAt+nextSub, 3, eventFdWrite, 1)
	g.subscribeFD(dataAt+2*nextSub, 4, eventFdRead, 0)
	g.expectEvents(3, gotEvent{3, 0, eventFdWrite, 1, 0})

	toGuest.WriteString("x")
	g.expectEvents(3, gotEvent{1, 0, eventFdRead, 1, 0}, gotEvent{3, 0, eventFdWrite, 1, 0}, gotEvent{4, 0, eventFdRead, 1, 0})

	iovs, n := g.iovecs(0x200, [2]uint32{0x300, 10})
	g.must("fd_read", 0, iovs, n, resultAt)
	toGuest.Close()
	fromGuest.Close()
	const hangup = 1
	g.expectEvents(2, gotEvent{1, 0, eventFdRead, 0, hangup}, gotEvent{3, 0, eventFdWrite, 1, 0})
	g.expect(ErrnoPipe, "fd_write", 1, iovs, n, resultAt)
}

// TestPollWakes: a wait without an end is ended by the pipe.
func TestPollWakes(t *testing.T) {
	r, toGuest := pipe(t)
	g := newGuest(t, ModuleName, wasi.Config{Stdin: take(t, r), Stdout: -1, Stderr: -1})
	g.subscribeFD(dataAt, 1, eventFdRead, 0)
	go func() {
		time.Sleep(20 * time.Millisecond)
		toGuest.WriteString("x")
	}()
	g.expectEvents(1, gotEvent{1, 0, eventFdRead, 1, 0})
}

func TestPollClocks(t *testing.T) {
	g, _ := newDirGuest(t, ModuleName)
	const realtime, monotonic, cpu = 0, 1, 2
	const relative, absolute = 0, 1
	wait := uint64(15 * time.Millisecond)
	for _, clock := range []uint32{realtime, monotonic} {
		start := time.Now()
		g.subscribeClock(dataAt, 5, clock, wait, relative)
		g.expectEvents(1, gotEvent{userdata: 5})
		if took := time.Since(start); took < 15*time.Millisecond {
			t.Errorf("clock %d, relative: %v", clock, took)
		}
		g.must("clock_time_get", uint64(clock), 0, resultAt)
		g.subscribeClock(dataAt, 6, clock, g.uint64(resultAt)+wait, absolute)
		start = time.Now()
		g.expectEvents(1, gotEvent{userdata: 6})
		if took := time.Since(start); took < 14*time.Millisecond {
			t.Errorf("clock %d, absolute: %v", clock, took)
		}
		g.subscribeClock(dataAt, 7, clock, 1, absolute) // long ago
		g.expectEvents(1, gotEvent{userdata: 7})
	}
	// The earlier one comes alone, both if both are over.
	g.subscribeClock(dataAt, 1, monotonic, uint64(time.Hour), relative)
	g.subscribeClock(dataAt+nextSub, 2, monotonic, wait, relative)
	g.expectEvents(2, gotEvent{userdata: 2})
	g.subscribeClock(dataAt, 1, monotonic, 0, relative)
	g.subscribeClock(dataAt+nextSub, 2, realtime, 0, relative)
	g.expectEvents(2, gotEvent{userdata: 1}, gotEvent{userdata: 2})
	// What cannot be waited for says so at once.
	g.subscribeClock(dataAt, 1, monotonic, math.MaxUint64, relative)
	g.subscribeClock(dataAt+nextSub, 2, cpu, wait, relative)
	g.subscribeClock(dataAt+2*nextSub, 3, 77, wait, relative)
	g.subscribeClock(dataAt+3*nextSub, 4, monotonic, wait, 2)
	g.expectEvents(4, gotEvent{userdata: 2, errno: ErrnoNotsup}, gotEvent{userdata: 3, errno: ErrnoInval},
		gotEvent{userdata: 4, errno: ErrnoInval})
}

func TestPollKinds(t *testing.T) {
	g, dir := newDirGuest(t, ModuleName)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, _ := g.open(3, "file", 0)
	for i, n := range []uint32{uint32(fd), 3, 0, 99} {
		g.subscribeFD(dataAt+uint32(i)*nextSub, uint64(i), eventFdRead, n)
	}
	g.expectEvents(4, gotEvent{0, 0, 1, 1, 0}, gotEvent{1, 0, 1, 1, 0}, gotEvent{2, 0, 1, 1, 0},
		gotEvent{3, ErrnoBadf, 1, 0, 0})
	g.expect(ErrnoInval, "poll_oneoff", dataAt, eventsAt, 0, resultAt)
	g.subscribeFD(dataAt, 0, 3, 0)
	g.expect(ErrnoInval, "poll_oneoff", dataAt, eventsAt, 1, resultAt)
}

// TestPollMany is 100,000 subscriptions, for which the host must not grow.
func TestPollMany(t *testing.T) {
	const many = 100_000
	r, toGuest := pipe(t)
	toGuest.WriteString("x")
	g := newGuestOf(t, ModuleName, (many*(subscriptionSize+eventSize)+dataAt)/pageSize+1,
		wasi.Config{Stdin: take(t, r), Stdout: -1, Stderr: -1})
	for i := range uint32(many) {
		switch at := dataAt + i*subscriptionSize; i % 3 {
		case 0:
			g.subscribeFD(at, uint64(i), eventFdRead, 0)
		case 1:
			g.subscribeClock(at, uint64(i), 1, uint64(time.Hour), 0)
		case 2:
			g.subscribeFD(at, uint64(i), eventFdWrite, i) // mostly not open
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	g.must("poll_oneoff", dataAt, dataAt+many*subscriptionSize, many, resultAt)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
		t.Errorf("the host took %d bytes", grown)
	}
	if n := g.uint32(resultAt); n < many/3 {
		t.Errorf("%d events", n)
	}
	// Events over subscriptions are the guest's own loss.
	g.must("poll_oneoff", dataAt, dataAt, many, resultAt)
	g.expect(ErrnoFault, "poll_oneoff", dataAt, dataAt, math.MaxUint32, resultAt)
	g.expect(ErrnoFault, "poll_oneoff", dataAt, dataAt, 1<<28, resultAt)
}

// TestNoAllocation: what a guest does all the time costs the host no memory.
func TestNoAllocation(t *testing.T) {
	g, dir := newDirGuest(t, ModuleName)
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, _ := g.open(3, "file", 0)
	iovs, n := g.iovecs(0x200, [2]uint32{0x300, 1}, [2]uint32{0x400, 2})
	path, size := g.put(pathAt, "file")
	g.subscribeFD(dataAt, 1, eventFdRead, uint32(fd))
	g.subscribeClock(dataAt+nextSub, 2, 1, 1, 0)
	next := uint64(5)
	for function, params := range map[string][]uint64{
		"fd_read": {fd, iovs, n, resultAt}, "fd_write": {fd, iovs, n, resultAt},
		"fd_pread": {fd, iovs, n, 0, resultAt}, "fd_pwrite": {fd, iovs, n, 0, resultAt},
		"fd_seek": {fd, 0, 0, resultAt}, "fd_fdstat_get": {fd, dataAt + 0x1000}, "fd_filestat_get": {fd, dataAt + 0x1000},
		"clock_time_get": {1, 0, resultAt}, "random_get": {0x300, 16},
		"path_filestat_get": {3, 1, path, size, dataAt + 0x1000}, "fd_readdir": {3, dataAt + 0x1000, 4096, 0, resultAt},
		"poll_oneoff": {dataAt, eventsAt, 2, resultAt},
		"path_open":   {3, 0, path, size, 0, rightFdRead, 0, 0, resultAt},
	} {
		g.quick(function, params)
		if function == "path_open" {
			g.must("fd_close", next)
		}
		allocations := testing.AllocsPerRun(50, func() {
			g.quick(function, params)
			if function == "path_open" {
				g.stack[0] = next
				g.quick("fd_close", nil)
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations", function, allocations)
		}
	}
}
