// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package preview1

import (
	"containerd-shim-wazero/sandbox/wasi/clock"
	"containerd-shim-wazero/sandbox/wasi/random"
)

// clocks are the kernel's clocks in the definition's order.
var clocks = [...]clock.ID{clock.Realtime, clock.Monotonic, clock.ProcessCPU, clock.ThreadCPU}

// clock_res_get(id, resolution): the step of a clock in nanoseconds.
func clockResGet(f *Front, p []uint64) Errno {
	id := uint32(p[0])
	if id >= uint32(len(clocks)) {
		return ErrnoInval
	}
	if !f.PutUint64(uint32(p[1]), uint64(clock.Resolution(clocks[id]))) {
		return ErrnoFault
	}
	return ErrnoSuccess
}

// clock_time_get(id, precision, time): the time of a clock in nanoseconds, as
// exact as the clock is, whatever precision would do.
func clockTimeGet(f *Front, p []uint64) Errno {
	id := uint32(p[0])
	if id >= uint32(len(clocks)) {
		return ErrnoInval
	}
	if !f.PutUint64(uint32(p[2]), uint64(clock.Now(clocks[id]))) {
		return ErrnoFault
	}
	return ErrnoSuccess
}

// random_get(buf, size): random bytes from the kernel.
func randomGet(f *Front, p []uint64) Errno {
	buf, ok := f.Bytes(uint32(p[0]), uint32(p[1]))
	if !ok {
		return ErrnoFault
	}
	return ErrnoOf(random.Fill(buf))
}
