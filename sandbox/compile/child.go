// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/engine"
)

// Main is a compile process: what the shim's binary does in the role
// config.RoleCompile. It does not return.
func Main() {
	verdict := os.NewFile(fdVerdict, "verdict")
	kind, text := byte(verdictDone), ""
	if err := compile(); err != nil {
		kind, text = verdictFailed, err.Error()
		var invalid *engine.InvalidError
		if errors.As(err, &invalid) {
			kind = verdictRefused
		}
	}
	answer := append([]byte{kind}, text...)
	verdict.Write(answer[:min(len(answer), maxVerdict)])
	os.Exit(0)
}

func compile() error {
	runtime.GOMAXPROCS(runtime.NumCPU()) // all of them, whatever the shim's share is
	if err := confine(); err != nil {
		return fmt.Errorf("confine the compile process: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fdModule, &st); err != nil {
		return err
	}
	// The file is the cache's own copy, which nobody writes to.
	bin, err := unix.Mmap(fdModule, 0, int(st.Size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("map the module: %w", err)
	}
	debug.SetMemoryLimit(Memory / 2)
	return engine.Compile(context.Background(), bin, os.NewFile(fdImage, "image"))
}
