// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package fork

import (
	"runtime"
	"syscall"
	"unsafe"
)

// step is one raw system call of a child. Everything it points to is made
// before the fork and kept alive by the program.
type step struct {
	number   uintptr
	args     [5]uintptr
	name     string
	optional bool // a refusal is no error
}

// program is what the children do between their birth and the exec: two lists
// of system calls. The children run in the parent's memory (CLONE_VM), as any
// vfork's, so that they report by writing here.
type program struct {
	stage     []step // by the intermediate child
	child     []step // by the process itself; the last one is the exec
	stageArgs cloneArgs
	childArgs cloneArgs

	pid, pidfd int32         // of the process, filled in by the kernel
	at         uintptr       // 1 + the index of the failing step, in both lists together
	errno      syscall.Errno // of that step

	keep []any // what the steps point to
	dups []int // descriptors to close after the fork
}

// cloneArgs is the kernel's struct clone_args, version 2.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
	setTID, setTIDSize, cgroup                                           uint64
}

// cloneFailed is the value of at when the process itself could not be made.
const cloneFailed = ^uintptr(0)

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// vfork is clone3 for CLONE_VM|CLONE_VFORK without a stack of its own. It
// returns 0 in the child and then, when that has executed or exited, the
// child's pid or a negative errno in the parent.
//
//go:noescape
func vfork(args, size uintptr) (pid uintptr)

// run forks, and returns the intermediate child's pid or an error number.
// It must run on the thread whose end shall end the children.
func (p *program) run() (stage int, errno syscall.Errno) {
	syscall.ForkLock.Lock()
	r := p.fork()
	afterFork()
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(p)
	if e := -int(r); e > 0 && e < 4096 {
		return 0, syscall.Errno(e)
	}
	return int(r), 0
}

// fork is a function of its own so that the children's frames lie below
// everything that the parent goes on to use. From here on nothing allocates,
// grows the stack or is seen by the race detector.
//
//go:noinline
//go:norace
//go:nocheckptr
func (p *program) fork() (r uintptr) {
	beforeFork()
	r = vfork(uintptr(unsafe.Pointer(&p.stageArgs)), unsafe.Sizeof(p.stageArgs))
	if r == 0 {
		p.inStage()
	}
	return r
}

// inStage is the intermediate child: it enters what must be entered before a
// process is made, makes the process as its own sibling, and ends. Signals
// stay blocked.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (p *program) inStage() {
	p.do(p.stage, 0)
	r := vfork(uintptr(unsafe.Pointer(&p.childArgs)), unsafe.Sizeof(p.childArgs))
	if r == 0 {
		p.inChild()
	}
	if e := -int(r); e > 0 && e < 4096 {
		p.errno, p.at = syscall.Errno(e), cloneFailed
	}
	exit()
}

//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (p *program) inChild() {
	afterForkInChild()
	p.do(p.child, uintptr(len(p.stage)))
	exit()
}

// do carries out the steps and ends the calling process at the first that fails.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (p *program) do(steps []step, base uintptr) {
	for i := range steps {
		s := &steps[i]
		_, _, e := syscall.RawSyscall6(s.number, s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], 0)
		if e != 0 && !s.optional {
			p.errno, p.at = e, base+uintptr(i)+1
			exit()
		}
	}
}

//go:noinline
//go:nosplit
//go:norace
func exit() {
	for {
		syscall.RawSyscall6(syscall.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}

// failure describes why the children did not get to the exec; nil if they did.
func (p *program) failure() error {
	switch {
	case p.at == 0:
		return nil
	case p.at == cloneFailed:
		return &Error{Step: "making the process and its namespaces", Err: p.errno}
	case p.at <= uintptr(len(p.stage)):
		return &Error{Step: p.stage[p.at-1].name, Err: p.errno}
	default:
		return &Error{Step: p.child[p.at-1-uintptr(len(p.stage))].name, Err: p.errno}
	}
}
