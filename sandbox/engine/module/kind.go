// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"errors"
)

// Why a file cannot be run, told by its first bytes. Each is a sentence's end:
// "module /app.wasm is empty".
var (
	errEmpty     = errors.New("is empty")
	errComponent = errors.New("is a WebAssembly component: components are not yet run, only core modules are (build it for wasm32-wasip1)")
	errText      = errors.New("is text in the WebAssembly text format: compile it first, with wat2wasm for example")
	errELF       = errors.New("is a Linux program: this runtime runs WebAssembly modules")
	errVersion   = errors.New("has a version of the WebAssembly binary format that is not known")
	errTruncated = errors.New("is truncated: it ends before the first section")
	errForeign   = errors.New("is not a WebAssembly binary")
)

// HeadSize is how many bytes Check looks at.
const HeadSize = 8

// Check tells by the first HeadSize bytes of a file (fewer where it is
// shorter) whether it may be a core module. The error is the end of a sentence
// that begins with the module's name.
func Check(head []byte) error {
	const wasm = "\x00asm"
	switch {
	case len(head) == 0:
		return errEmpty
	case string(head) == wasm+"\x01\x00\x00\x00":
		return nil
	case len(head) < HeadSize && bytes.HasPrefix([]byte(wasm+"\x01\x00\x00\x00"), head):
		return errTruncated
	case string(head) == wasm+"\x0d\x00\x01\x00":
		return errComponent
	case bytes.HasPrefix(head, []byte(wasm)):
		if len(head) == HeadSize && head[6] == 1 { // layer 1: another draft of the component model
			return errComponent
		}
		return errVersion
	case bytes.HasPrefix(head, []byte("\x7fELF")), bytes.HasPrefix(head, []byte("#!")):
		return errELF
	case bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("(")), bytes.HasPrefix(head, []byte(";;")):
		return errText
	}
	return errForeign
}
