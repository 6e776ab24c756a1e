// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"containerd-shim-wazero/sandbox/engine/image"
	"containerd-shim-wazero/sandbox/engine/module"
)

// InvalidError says that a module cannot be compiled, whoever tries. Its text
// is the end of a sentence that begins with the module's name.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return module.Printable(e.Reason) }

// Compile compiles a module with all processors and writes its image into an
// empty file. A module that is not valid gives an InvalidError.
func Compile(ctx context.Context, bin []byte, out *os.File) error {
	if err := module.Check(bin[:min(len(bin), module.HeadSize)]); err != nil {
		return &InvalidError{err.Error()}
	}
	if err := module.CheckBounds(bin); err != nil {
		return &InvalidError{"is not a valid module: " + err.Error()}
	}
	caught := &capture{}
	rt, err := newRuntime(ctx, caught)
	if err != nil {
		return err
	}
	defer rt.Close(ctx)
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	compiled, err := compileModule(ctx, rt, bin)
	if err != nil {
		return err
	}
	stripped, err := module.Strip(bin, image.StartExport)
	if err != nil {
		return &InvalidError{"is not valid: " + err.Error()}
	}
	parts := &image.Parts{
		image.Skeleton: stripped.Skeleton,
		image.Names:    stripped.Names,
		image.Exports:  exports(compiled),
		image.Runs:     image.AppendRuns(nil, stripped.Runs),
		image.Memory:   stripped.Memory,
	}
	if err := caught.split(parts); err != nil {
		return err
	}
	h := &image.Header{MinPages: stripped.MinPages, MaxPages: stripped.MaxPages, Stamp: time.Now().UnixNano()}
	if stripped.HasMemory {
		h.Flags |= image.HasMemory
	}
	if stripped.HasStart {
		h.Flags |= image.HasStart
	}
	if catches(parts[image.Suffix]) {
		h.Flags |= image.Catches
	}
	if accepts(importedNames(compiled)) {
		h.Flags |= image.Accepts
	}
	return image.Write(out, h, parts)
}

// compileModule guards against what wazero does not expect in hostile modules.
func compileModule(ctx context.Context, rt wazero.Runtime, bin []byte) (_ wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil {
			line, _, _ := strings.Cut(fmt.Sprint(r), "\n")
			err = &InvalidError{"cannot be compiled: " + line}
		}
	}()
	compiled, err := rt.CompileModule(ctx, bin)
	if err != nil {
		return nil, &InvalidError{invalid(err)}
	}
	return compiled, nil
}

// invalid words what wazero found wrong.
func invalid(err error) string {
	text := err.Error()
	if strings.Contains(text, "threads") || strings.Contains(text, "shared memory") {
		return "needs threads, which this runtime does not provide (" + text + ")"
	}
	return "is not a valid module: " + text
}

func exports(c wazero.CompiledModule) (list []byte) {
	for name, def := range c.ExportedFunctions() {
		list = module.AppendFunction(list, module.Function{
			Name: name, Index: def.Index(), Params: len(def.ParamTypes()), Results: len(def.ResultTypes()),
		})
	}
	return list
}

// capture keeps the one entry that compiling a module adds.
type capture struct{ entry []byte }

func (*capture) Get([sha256.Size]byte) (io.ReadCloser, bool, error) { return nil, false, nil }
func (*capture) Delete([sha256.Size]byte) error                     { return nil }

func (c *capture) Add(_ [sha256.Size]byte, content io.Reader) (err error) {
	if r, ok := content.(*bytes.Reader); ok { // as it is: this saves a copy of all the code
		c.entry = make([]byte, r.Len())
		_, err = io.ReadFull(r, c.entry)
		return err
	}
	c.entry, err = io.ReadAll(content)
	return err
}

// split cuts an entry into what lies before, in and behind the machine code.
//
//	"WAZEVO" | u8 n | version [n] | u32 functions | u64 offset… | u64 size | code [size] | …
func (c *capture) split(p *image.Parts) error {
	const magic = "WAZEVO"
	e := c.entry
	at := len(magic) + 1
	if len(e) < at || string(e[:len(magic)]) != magic {
		return errEntry
	}
	version := int(e[at-1])
	if at += version; len(e) < at+4 {
		return errEntry
	}
	if got := string(e[at-version : at]); got != image.WazeroVersion && got != "dev" {
		return fmt.Errorf("%w: it is of wazero %s", errEntry, got)
	}
	functions := uint64(binary.LittleEndian.Uint32(e[at:]))
	if at += 4; uint64(len(e)-at) < functions*8+8 {
		return errEntry
	}
	at += int(functions) * 8
	size := binary.LittleEndian.Uint64(e[at:])
	if at += 8; uint64(len(e)-at) < size {
		return errEntry
	}
	p[image.Prefix], p[image.Code], p[image.Suffix] = e[:at], e[at:at+int(size)], e[at+int(size):]
	return nil
}

// catches reports whether an entry has clauses that catch exceptions: these
// follow the source map.
//
//	u8 has a source map | u64 n | n × u64, u64 | u32 tables of clauses | …
func catches(suffix []byte) bool {
	const checksum = 4
	e := suffix[min(checksum, len(suffix)):]
	if len(e) > 9 && e[0] == 1 {
		e = e[1:]
		n := binary.LittleEndian.Uint64(e)
		if e = e[8:]; n > uint64(len(e)/16) {
			return true
		}
		e = e[n*16:]
	} else if len(e) > 0 {
		e = e[1:]
	}
	return len(e) < 4 || binary.LittleEndian.Uint32(e) != 0
}

var errEntry = errors.New("wazero's compiled module does not have the form of " + image.WazeroVersion)
