// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Offsets in the kernel's struct seccomp_data, of which arguments are 64 bits
// wide and, on both architectures, little-endian.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// Instruction codes of classic BPF (linux/bpf_common.h).
const (
	loadWord     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	jumpEqual    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jumpNotBelow = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	jumpAlways   = unix.BPF_JMP | unix.BPF_JA
	ret          = unix.BPF_RET | unix.BPF_K
)

const instruction = unix.SizeofSockFilter

// label names a place in a program that is not yet known.
type label int

// next is the instruction that follows.
const next label = -1

// assembler writes a classic BPF program. Its jumps go forward, to labels.
type assembler struct {
	code   []byte
	labels []int // position by label, in instructions
	fixes  []fix
}

// fix is a jump whose target was not known when it was written.
type fix struct {
	at     int // instruction
	jt, jf label
	always bool
}

func (a *assembler) position() int { return len(a.code) / instruction }

func (a *assembler) emit(code uint16, jt, jf uint8, k uint32) {
	a.code = binary.LittleEndian.AppendUint16(a.code, code)
	a.code = append(a.code, jt, jf)
	a.code = binary.LittleEndian.AppendUint32(a.code, k)
}

func (a *assembler) label() label {
	a.labels = append(a.labels, -1)
	return label(len(a.labels) - 1)
}

// place says that a label is here.
func (a *assembler) place(l label) { a.labels[l] = a.position() }

// load loads a 32-bit word of seccomp_data.
func (a *assembler) load(offset uint32) { a.emit(loadWord, 0, 0, offset) }

// ifEqual goes to yes if the loaded word is k, else to no.
func (a *assembler) ifEqual(k uint32, yes, no label) { a.branch(jumpEqual, k, yes, no) }

// ifNotBelow goes to yes if the loaded word is k or greater, else to no.
func (a *assembler) ifNotBelow(k uint32, yes, no label) { a.branch(jumpNotBelow, k, yes, no) }

func (a *assembler) branch(code uint16, k uint32, yes, no label) {
	a.fixes = append(a.fixes, fix{at: a.position(), jt: yes, jf: no})
	a.emit(code, 0, 0, k)
}

// jump goes to l, however far.
func (a *assembler) jump(l label) {
	a.fixes = append(a.fixes, fix{at: a.position(), jt: l, always: true})
	a.emit(jumpAlways, 0, 0, 0)
}

// ret ends the program with an action.
func (a *assembler) ret(action uint32) { a.emit(ret, 0, 0, action) }

// program resolves the jumps. A conditional one reaches 255 instructions.
func (a *assembler) program() (Program, error) {
	for _, f := range a.fixes {
		p := a.code[f.at*instruction:]
		if f.always {
			binary.LittleEndian.PutUint32(p[4:], uint32(a.distance(f.at, f.jt)))
			continue
		}
		jt, jf := a.distance(f.at, f.jt), a.distance(f.at, f.jf)
		if jt > 255 || jf > 255 {
			return nil, fmt.Errorf("the filter grew too large: a jump over %d instructions", max(jt, jf))
		}
		p[2], p[3] = uint8(jt), uint8(jf)
	}
	if n := a.position(); n > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("the filter grew too large: %d instructions", n)
	}
	return a.code, nil
}

func (a *assembler) distance(from int, to label) int {
	if to == next {
		return 0
	}
	return a.labels[to] - from - 1
}

// verdicts is what a filter does, call by call.
type verdicts struct {
	conditional []verdict
	allowed     []uint32 // whatever the arguments
	logged      []uint32 // likewise, with a line in the audit log
	killed      []uint32
	others      []single // where it is not the default
	byDefault   uint32   // action
}

// single is the action for one call.
type single struct{ nr, action uint32 }

// verdict is a call with conditions.
type verdict struct {
	nr        uint32
	cases     []verdictCase
	otherwise uint32 // action
}

type verdictCase struct {
	args   args
	action uint32
}

// assemble writes the program: foreign calls first, then those with conditions,
// then the chains of those without.
func assemble(v *verdicts) (Program, error) {
	a := &assembler{code: make([]byte, 0, 400*instruction)}
	native := a.label()
	a.load(offArch)
	a.ifEqual(auditArch, native, next)
	a.ret(unix.SECCOMP_RET_KILL_PROCESS)
	a.place(native)
	a.load(offNr)
	if firstForeign != 0 {
		ours := a.label()
		a.ifNotBelow(firstForeign, next, ours)
		a.ret(unix.SECCOMP_RET_KILL_PROCESS)
		a.place(ours)
	}
	for i := range v.conditional {
		a.conditional(&v.conditional[i])
	}
	a.chain(v.allowed, unix.SECCOMP_RET_ALLOW)
	a.chain(v.logged, unix.SECCOMP_RET_LOG)
	a.chain(v.killed, unix.SECCOMP_RET_KILL_PROCESS)
	for _, s := range v.others {
		a.chain([]uint32{s.nr}, s.action)
	}
	a.ret(v.byDefault)
	return a.program()
}

// chain ends with an action if the call is one of nrs, and goes on if not.
func (a *assembler) chain(nrs []uint32, action uint32) {
	if len(nrs) == 0 {
		return
	}
	hit, miss := a.label(), a.label()
	for i, nr := range nrs {
		if i == len(nrs)-1 {
			a.ifEqual(nr, hit, miss)
		} else {
			a.ifEqual(nr, hit, next)
		}
	}
	a.place(hit)
	a.ret(action)
	a.place(miss)
}

// conditional decides a call by its arguments, and goes on if it is another.
func (a *assembler) conditional(v *verdict) {
	after, body := a.label(), a.label()
	a.ifEqual(v.nr, body, next)
	a.jump(after)
	a.place(body)
	for _, c := range v.cases {
		miss := a.label()
		for _, arg := range c.args {
			// All 64 bits are compared, though the kernel looks at 32 of most:
			// what nobody sends need not pass.
			a.load(offArgs + 8*arg.index + 4)
			a.ifEqual(0, next, miss)
			a.load(offArgs + 8*arg.index)
			hit := a.label()
			for i, value := range arg.values {
				if i == len(arg.values)-1 {
					a.ifEqual(uint32(value), hit, miss)
				} else {
					a.ifEqual(uint32(value), hit, next)
				}
			}
			a.place(hit)
		}
		a.ret(c.action)
		a.place(miss)
	}
	a.ret(v.otherwise)
	a.place(after)
}
