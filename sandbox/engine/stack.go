// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
	"golang.org/x/sys/unix"
)

// stackSize is how deep a guest's calls may go, in bytes of machine stack.
// Browsers give about one mebibyte, wasmtime half of one.
const stackSize = 16 << 20

// reservedStack is more than what wazero lets a stack grow to: one of this
// length it takes for grown up, and reports the next overflow as one.
const reservedStack = 64 << 20

// newStack reserves a stack of which the upper end is usable; the rest of it is
// never touched.
func newStack() ([]byte, error) {
	b, err := unix.Mmap(-1, 0, reservedStack, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err == nil {
		err = unix.Mprotect(b[reservedStack-stackSize:], unix.PROT_READ|unix.PROT_WRITE)
	}
	if err != nil {
		return nil, fmt.Errorf("reserve the guest's stack: %w", err)
	}
	return b, nil
}

// useStack has a function's calls run on a stack made by newStack. wazero
// doubles the stack of a call by copying until it has a hundred megabytes, all
// of them Go's heap, so that a guest which recurses without end would be killed
// by the kernel before it traps. Where this version of wazero keeps its stack
// elsewhere nothing is changed; a test says so.
func useStack(f api.Function, b []byte) bool {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return false
	}
	stack, ok1 := field[[]byte](v.Elem(), "stack")
	top, ok2 := field[uintptr](v.Elem(), "stackTop")
	context := v.Elem().FieldByName("execCtx")
	if !ok1 || !ok2 || context.Kind() != reflect.Struct {
		return false
	}
	bottom, ok := field[*byte](context, "stackBottomPtr")
	if !ok || len(*stack) == 0 || *bottom != &(*stack)[0] {
		return false
	}
	*stack = b
	*top = uintptr(unsafe.Pointer(&b[len(b)-1])) &^ 15
	*bottom = &b[len(b)-stackSize]
	return true
}

// field returns a pointer to an unexported field, if it has that type.
func field[T any](v reflect.Value, name string) (*T, bool) {
	f := v.FieldByName(name)
	if !f.IsValid() || f.Type() != reflect.TypeFor[T]() {
		return nil, false
	}
	return (*T)(unsafe.Pointer(f.UnsafeAddr())), true
}
