// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// TestUsernsRemap runs containers under a dockerd that remaps their users:
// the shim's as runc's, on volumes, by exec and behind a published port. Such
// a dockerd cannot use containerd's image store, so the one image is of the
// host's platform and has the program in either form.
func TestUsernsRemap(t *testing.T) {
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if err := os.WriteFile(file, []byte("daemon:200000:65536\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file) })
	}
	e := engine.New(t, engine.WithConfig("userns-remap", "daemon"))
	files := map[string]string{"Dockerfile": "FROM scratch\nCOPY box-linux box.wasm gonet.wasm /\n"}
	for _, program := range []string{"guests/box-linux", "guests/box.wasm", "guests-net/gonet.wasm"} {
		b, err := os.ReadFile(harness.Built(t, program))
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(program)] = string(b)
	}
	e.Build(t, files, "-t", "mapped").Exits(0)

	for program, runtime := range map[string]string{"/box-linux": "runc", "/box.wasm": engine.Runtime} {
		volume := "of" + strings.ReplaceAll(program, "/", "-")
		run := func(options string, args ...string) *harness.Result {
			all := append([]string{"run", "--runtime", runtime, "-v", volume + ":/data"}, strings.Fields(options)...)
			return e.Docker(t, append(append(all, "mapped", program), args...)...)
		}
		run("--rm", "echo", "hello").Is(0, "hello\n")
		run("--rm", "write", "/data/file", "text").Is(0, "")
		run("--rm -u 1000", "write", "/data/file", "other").Exits(1).Complains("Permission denied")
		run("--rm -u 1000", "cat", "/data/file").Prints("text")
		path := filepath.Join(e.Ask(t, "volume", "inspect", "-f", "{{.Mountpoint}}", volume), "file")
		if uid, gid := owner(t, path); uid != 200000 || gid != 200000 {
			t.Errorf("%s: the file of the container's root is %d:%d's", program, uid, gid)
		}

		id := strings.TrimSpace(run("-d", "sleep", "1000000").Exits(0).Stdout)
		own := strings.TrimSpace(run("-d --userns host", "sleep", "1000000").Exits(0).Stdout)
		self := proc("uid_map", "")(observed{t, os.Getpid()})
		for id, want := range map[string]string{id: "0 200000 65536", own: self} {
			if got := proc("uid_map", "")(observed{t, pid(t, e, id)}); got != want {
				t.Errorf("%s: the map of users is %q, want %q", program, got, want)
			}
		}
		e.Docker(t, "exec", id, program, "append", "/data/file", "more").Is(0, "")
		e.Docker(t, "exec", "-u", "1000:1000", id, program, "append", "/data/file", "more").Exits(1)
		run("--rm --userns host", "cat", "/data/file").Is(0, "textmore")
	}

	e.Docker(t, "run", "-d", "--name", "server", "--runtime", engine.Runtime, "-p", "18400:7000",
		"mapped", "/gonet.wasm", "tcp-echo", "0.0.0.0:7000").Exits(0)
	harness.Eventually(t, "the guest listens", func() bool { return e.Ask(t, "logs", "server") != "" })
	if err := echo("tcp", "127.0.0.1:18400", "through the published port"); err != nil {
		t.Error(err)
	}
}

// owner is the host's user and group of a file.
func owner(t *testing.T, path string) (uid, gid uint32) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Uid, stat.Gid
}
