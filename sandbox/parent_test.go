// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/cache"
	"containerd-shim-wazero/sandbox/compile"
	"containerd-shim-wazero/sandbox/config"
)

// parentRole in the environment makes the test binary a shim that is going to
// be killed: it runs the container whose configuration is in the named file.
const parentRole = "SANDBOX_TEST_PARENT"

func parent() {
	if err := parentMain(os.Getenv(parentRole)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	select {}
}

func parentMain(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c config.Container
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	modules, err := cache.Open(filepath.Join(filepath.Dir(file), "cache"), cache.Options{Compile: compile.Process})
	if err != nil {
		return err
	}
	ctx := context.Background()
	k, p, err := Create(ctx, &c, Stdio{}, Options{Cache: modules})
	if err != nil {
		return err
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	if c.Annotations["paused"] != "" {
		time.Sleep(20 * time.Millisecond) // for the guest to spin
		if err := k.Pause(ctx); err != nil {
			return err
		}
	}
	fmt.Println(p.Pid())
	return nil
}

// TestParentKilled: no guest survives its shim, a spinning one included, and
// Remove leaves nothing of it, a paused one included.
func TestParentKilled(t *testing.T) {
	for _, tc := range []struct {
		name, paused, userns string
		uid                  uint32
	}{
		{name: "as root"}, {name: "as a user", uid: 1000}, {name: "in a user namespace", userns: "yes"}, {name: "paused", paused: "yes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t, "spin")
			b.config.Process.User = config.User{UID: tc.uid, GID: tc.uid}
			b.config.Annotations = map[string]string{"paused": tc.paused}
			if tc.userns != "" {
				b.inUserNamespace()
			}
			pid, shim := b.runParent()
			pidfd, err := unix.PidfdOpen(pid, 0)
			must(t, err)
			defer unix.Close(pidfd)
			must(t, shim.Process.Kill())
			_ = shim.Wait()
			begin := time.Now()
			if tc.paused == "" {
				awaitEnd(t, pidfd)
				if d := time.Since(begin); d > 5*time.Second { // a busy machine's second
					t.Errorf("it took %v", d)
				}
			}
			must(t, Remove(testContext(t), b.config.Bundle))
			awaitEnd(t, pidfd)
			b.nothingLeft()
			begin = time.Now()
			must(t, Remove(testContext(t), b.config.Bundle))
			t.Logf("a second Remove took %v", time.Since(begin))
		})
	}
}

// TestFewDescriptors: a shim that runs out of descriptors, wherever that is,
// says so and leaves nothing.
func TestFewDescriptors(t *testing.T) {
	worked := false
	for n := 7; n < 64 && !worked; n++ {
		b := newBox(t, "spin")
		b.config.Mounts = []config.Mount{bind(source(t), "/data", 0)}
		file := b.writeConfig()
		exe, err := os.Executable()
		must(t, err)
		shim := exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d; exec %s", n, exe))
		shim.Env = append(os.Environ(), parentRole+"="+file)
		out, err := shim.StdoutPipe()
		must(t, err)
		must(t, shim.Start())
		line, _ := bufio.NewReader(out).ReadString('\n')
		var pid int
		_, err = fmt.Sscan(line, &pid)
		worked = err == nil
		_ = shim.Process.Kill()
		_ = shim.Wait()
		t.Logf("%d descriptors: %s", n, strings.TrimSpace(line))
		if !worked {
			b.nothingLeft()
			continue
		}
		must(t, Remove(testContext(t), b.config.Bundle))
		b.nothingLeft()
	}
	if !worked {
		t.Error("it never worked")
	}
}

// writeConfig writes the configuration for a parent, and returns the file.
func (b *box) writeConfig() string {
	b.t.Helper()
	c, err := json.Marshal(b.config)
	must(b.t, err)
	file := filepath.Join(b.config.Bundle, "container")
	must(b.t, os.WriteFile(file, c, 0o600))
	return file
}

// runParent runs the container in a process of its own and returns init's pid.
func (b *box) runParent() (pid int, shim *exec.Cmd) {
	b.t.Helper()
	file := b.writeConfig()
	exe, err := os.Executable()
	must(b.t, err)
	shim = exec.Command(exe)
	shim.Env = append(os.Environ(), parentRole+"="+file)
	shim.Stderr = os.Stderr
	out, err := shim.StdoutPipe()
	must(b.t, err)
	must(b.t, shim.Start())
	b.t.Cleanup(func() { _ = shim.Process.Kill(); _ = shim.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	must(b.t, err)
	if _, err := fmt.Sscan(line, &pid); err != nil {
		b.t.Fatalf("the shim says %q", line)
	}
	return pid, shim
}

func awaitEnd(t *testing.T, pidfd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 60_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			t.Fatalf("the sandbox outlives its shim (%v)", err)
		}
		return
	}
}
