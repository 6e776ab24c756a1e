// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A full disk is an error, and nothing is left on it.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Fatalf("mount a tmpfs: %v (run as root)", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	var comp compiler
	c, err := Open(dir, Options{Compile: comp.compile})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, content := range []string{"small", strings.Repeat("large", 20_000)} {
		_, err := c.Ensure(context.Background(), file(t, wasm(content)), "/app.wasm", 1<<20)
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "module /app.wasm") {
			t.Errorf("error %v", err)
		}
	}
	if list := names(t, c); len(list) != 0 {
		t.Errorf("files %q are left", list)
	}
}

// A shim that is killed while it compiles leaves the work to the next one.
func TestHolderKilled(t *testing.T) {
	var comp compiler
	c := open(t, &comp, 0)
	f := file(t, wasm("module"))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{holderEnv + "=" + c.dir}
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 10)
	if n, _ := out.Read(line); string(line[:n]) != "compiling" {
		t.Fatalf("the holder says %q", line[:n])
	}
	done := make(chan error)
	go func() {
		e, err := c.Ensure(context.Background(), f, "/app.wasm", 1<<20)
		if err == nil {
			err = e.Close()
		}
		done <- err
	}()
	waitFor(t, func() bool { return waiters(c) == 1 })
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := comp.calls.Load(); n != 1 {
		t.Errorf("compiled %d times, want once", n)
	}
	if list := names(t, c); len(list) != 1 {
		t.Errorf("files %q, want one", list)
	}
}

// holderEnv makes the test binary a shim that compiles for ever.
const holderEnv = "CACHE_TEST_HOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holderEnv); dir != "" {
		comp := compiler{before: func(context.Context) error {
			fmt.Print("compiling")
			time.Sleep(time.Hour)
			return nil
		}}
		c, err := Open(dir, Options{Compile: comp.compile})
		if err == nil {
			_, err = c.Ensure(context.Background(), os.NewFile(3, "module"), "/app.wasm", 1<<20)
		}
		fmt.Print(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
