// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/fork"
)

// holder is a process that does nothing, in the cgroup of a systemd scope.
// Systemd opens a scope only around a live process, before the container has
// one, and removes it with its counters within milliseconds of the last one's
// end, when somebody may yet ask whether the kernel killed it for want of
// memory. So the holder lives as long as the container.
//
// It is a program of a hundred and fifty bytes that sleeps for ever: two pages
// of memory in the container's account. It dies with the shim.
type holder struct{ process *fork.Process }

// hold starts a holder.
func hold() (*holder, error) {
	exe, err := holderProgram()
	if err != nil {
		return nil, fmt.Errorf("hold a systemd scope: %w", err)
	}
	defer exe.Close()
	p, err := fork.Start(&fork.Spec{Exe: exe, Args: []string{"scope"}, Terminal: -1})
	if err != nil {
		return nil, fmt.Errorf("hold a systemd scope: %w", err)
	}
	// With memory.oom.group the kernel kills all of a cgroup but what has this,
	// which root may be unable to give.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.Pid), []byte("-1000"), 0)
	return &holder{p}, nil
}

// pid is the holder's, 0 of nil.
func (h *holder) pid() int {
	if h == nil {
		return 0
	}
	return h.process.Pid
}

// release ends the holder; also on nil.
func (h *holder) release() {
	if h == nil {
		return
	}
	fd := int(h.process.Pidfd.Fd())
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	_ = unix.SetNonblock(fd, false) // it ends at once
	for errors.Is(unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WALL, nil), unix.EINTR) {
	}
	h.process.Pidfd.Close()
}

// holderProgram is the holder's executable, in memory.
func holderProgram() (*os.File, error) {
	// Since Linux 6.3 a file that is to be executed says so.
	fd, err := unix.MemfdCreate("scope", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("scope", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "scope")
	if _, err := f.Write(elf(sleepForEver[:])); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// elf wraps machine code in the smallest executable: the file's header and one
// segment, which is the whole file.
func elf(code []byte) []byte {
	const (
		base       = 0x400000
		headerSize = 64
		entrySize  = 56 // of the program header
		start      = headerSize + entrySize
	)
	le := binary.LittleEndian
	size := uint64(start + len(code))
	b := make([]byte, 0, size)
	b = append(b, 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0) // 64 bits, little-endian
	b = le.AppendUint16(b, 2)                                              // ET_EXEC
	b = le.AppendUint16(b, elfMachine)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+start) // entry
	b = le.AppendUint64(b, headerSize) // program headers
	b = le.AppendUint64(b, 0)          // no sections
	b = le.AppendUint32(b, 0)          // flags
	for _, n := range []uint16{headerSize, entrySize, 1, 0, 0, 0} {
		b = le.AppendUint16(b, n)
	}
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // read, execute
	for _, n := range []uint64{0, base, base, size, size, 0x10000} {
		b = le.AppendUint64(b, n)
	}
	return append(b, code...)
}
