// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
)

// cannotRun is a container that cannot start: the client says so in a
// sentence and ends with this status, and State.Error has the sentence too.
type cannotRun struct {
	options string
	image   string
	args    []string
	status  int
	words   []string
}

// refused wants docker run to end so, and returns what dockerd said.
func (c cannotRun) refused(t *testing.T, e *engine.Engine) string {
	t.Helper()
	args := append([]string{"run", "--name", "refused"}, strings.Fields(c.options)...)
	r := e.Docker(t, append(append(args, c.image), c.args...)...).Exits(c.status).Is(c.status, "").Complains(c.words...)
	said, _, _ := strings.Cut(r.Stderr, "\n")
	said, isError := strings.CutPrefix(said, "docker: Error response from daemon: ")
	if !isError || len(said) > 800 {
		t.Errorf("no sentence of dockerd's: %q", r.Stderr)
	}
	for _, ugly := range []string{"goroutine", "panic", ".go:", "%!", "<nil>"} {
		if strings.Contains(said, ugly) {
			t.Errorf("%q has %q in it", said, ugly)
		}
	}
	if state := inspect(t, e, "refused", "{{.State.Error}}"); state != said {
		t.Errorf("State.Error is %q, docker run said %q", state, said)
	}
	if got := inspect(t, e, "refused", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}"); got != fmt.Sprintf("created %d 0", exitCode(c.status)) {
		t.Errorf("inspect says %q", got)
	}
	e.Docker(t, "rm", "refused").Is(0, "refused\n")
	return said
}

// exitCode is what dockerd keeps of a container that could not start.
func exitCode(status int) int {
	if status == 125 {
		return 128
	}
	return status
}

// onWasm are the options that run an image under the shim.
const onWasm = "--runtime " + engine.Runtime + " --platform wasi/wasm "

// TestBadModules has each file that is no module that can run.
func TestBadModules(t *testing.T) {
	e := engine.Shared(t)
	bad := harness.BadImage(t)
	e.Load(t, bad)
	e.LoadAll(t)
	status := map[string]int{"folder.wasm": 126, "dangling.wasm": 127, "missing.wasm": 127}
	for file, words := range harness.BadModules() {
		t.Run(file, func(t *testing.T) {
			want := status[file]
			if want == 0 {
				want = 125
			}
			cannotRun{onWasm, "bad:test", []string{"/" + file}, want, words}.refused(t, e)
		})
	}
	for name, c := range map[string]cannotRun{
		"a Linux program": {"", "bad:test", []string{"/elf"}, 126, []string{"/elf", "Linux program"}},
		"no right to read it": {"-u 1000:1000", "bad:test", []string{"/unreadable.wasm"}, 126, []string{
			"unreadable.wasm", "permission denied"}},
		"a name that no folder of the PATH has": {"", "bad:test", []string{"nothing.wasm"}, 127, []string{
			"nothing.wasm", "executable file not found in $PATH"}},
		"imports that nobody has": {"", engine.Guests, []string{"/unknown-import.wasm"}, 125, []string{
			"launch_missiles", "fd_teleport"}},
		"no entry point":              {"", engine.Guests, []string{"/noentry.wasm"}, 125, []string{"noentry.wasm", "_start"}},
		"a reactor without an export": {"", engine.Guests, []string{"/reactor.wasm"}, 125, []string{"reactor.wasm", "#"}},
		"more memory than the limit":  {"-m 64m", engine.Guests, []string{"/bigmemory.wasm"}, 125, []string{"memory"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.options = onWasm + c.options
			c.refused(t, e)
		})
	}
	t.Run("over the size limit", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "large.wasm")
		if err := os.WriteFile(file, []byte("\x00asm\x01\x00\x00\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, 300<<20); err != nil {
			t.Fatal(err)
		}
		cannotRun{onWasm + "-v " + file + ":/large.wasm", "bad:test", []string{"/large.wasm"}, 125,
			[]string{"large.wasm", "314572800", "268435456"}}.refused(t, e)
	})
}

// TestBadFilesAsForLinux: a file that is not there, or not to be had, gives the
// status that it gives a Linux program.
func TestBadFilesAsForLinux(t *testing.T) {
	e := engine.Shared(t)
	wasi := harness.BadImage(t)
	linux := wasi
	linux.Name, linux.OS, linux.Arch = "docker.io/library/bad-linux:test", "linux", harness.Architecture()
	linux.Files = append([]image.File{}, wasi.Files...)
	for i, file := range linux.Files {
		// What the shim may not read, runc may not execute.
		if file.Path == "unreadable.wasm" {
			linux.Files[i].Mode = 0o600
		}
	}
	e.Load(t, wasi)
	e.Load(t, linux)
	for _, row := range []struct{ options, file string }{
		{"", "/missing.wasm"}, {"", "/dangling.wasm"}, {"", "/circle.wasm"}, {"", "/folder.wasm"},
		{"", "nothing.wasm"}, {"-u 1000:1000", "/unreadable.wasm"}, {"", "/missing/below.wasm"},
	} {
		t.Run(row.file, func(t *testing.T) {
			r := e.Docker(t, append(append([]string{"run", "--rm"}, strings.Fields(row.options)...), "bad-linux:test", row.file)...)
			t.Logf("runc: %s", r.Stderr)
			if r.Status < 125 || r.Status > 127 {
				t.Fatalf("runc gives %d", r.Status)
			}
			said := cannotRun{onWasm + row.options, "bad:test", []string{row.file}, r.Status, []string{row.file}}.refused(t, e)
			t.Logf("the shim: %s", said)
		})
	}
}

// TestNoModuleIsNotStarted: a file that is no module gives 125 and a sentence.
// For Linux a file that is no program gives 126 without the right to be executed,
// which a module needs not; with it the container is started, ends with 255, and
// State.Error is empty.
func TestNoModuleIsNotStarted(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	e.Load(t, harness.BadImage(t))
	dir := t.TempDir()
	words := harness.BadModules()
	for _, file := range harness.BadImage(t).Files {
		if !slices.Contains([]string{"empty.wasm", "text.wasm", "truncated.wasm", "corrupt.wasm", "version.wasm"}, file.Path) {
			continue
		}
		t.Run(file.Path, func(t *testing.T) {
			path := filepath.Join(dir, file.Path)
			for mode, status := range map[os.FileMode]int{0o644: 126, 0o755: 255} {
				if err := errors.Join(os.WriteFile(path, file.Body, mode), os.Chmod(path, mode)); err != nil {
					t.Fatal(err)
				}
				mount := "-v " + path + ":/" + file.Path
				linux := append(strings.Fields("run --rm "+mount+" --entrypoint /"+file.Path), runtimes["linux"]...)
				e.Docker(t, linux...).Exits(status)
				cannotRun{onWasm + mount, "bad:test", []string{"/" + file.Path}, 125, words[file.Path]}.refused(t, e)
			}
		})
	}
}

// TestBadBundles is the same for what reaches the shim by options and images.
// What is no spec at all cannot be had from dockerd.
func TestBadBundles(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	annotate := func(text string) string { return "--annotation " + Annotation + text }
	for name, c := range map[string]cannotRun{
		"an unknown annotation":  {options: annotate("prepoens=/data"), words: []string{"prepoens"}},
		"a malformed annotation": {options: annotate("listen=carrier-pigeon:80"), words: []string{"carrier-pigeon"}},
		"a huge annotation":      {options: annotate("listen=" + strings.Repeat("x", 100<<10)), words: []string{"listen"}},
		"no such parameter": {options: "--sysctl net.ipv4.no_such=1", status: 127, words: []string{
			"net.ipv4.no_such", "no such file or directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.status == 0 {
				c.status = 125
			}
			c.options, c.image = onWasm+c.options, engine.Box
			c.refused(t, e)
		})
	}
	t.Run("a file on a folder", func(t *testing.T) {
		for _, kind := range []string{"linux", "wasm"} {
			run := slices.Concat([]string{"run", "--name", "refused", "-v", "/etc/hostname:/work"}, runtimes[kind])
			e.Docker(t, run...).Exits(125).Complains("/work", "not a directory: Are you trying to mount a directory onto a file")
			if got := inspect(t, e, "refused", "{{.State.ExitCode}} {{.State.Error}}"); !strings.HasPrefix(got, "127 ") || !strings.Contains(got, "/work") {
				t.Errorf("%s: inspect says %q", kind, got)
			}
			e.Docker(t, "rm", "refused").Exits(0)
		}
	})
	t.Run("a huge argument", func(t *testing.T) {
		img := engine.WasmBoxImage(t)
		img.Name = "docker.io/library/huge:latest"
		img.Config = v1.ImageConfig{Entrypoint: []string{"/box", strings.Repeat("x", 3<<20)}}
		e.Load(t, img)
		said := cannotRun{onWasm, "huge", nil, 125, []string{"argument list too long"}}.refused(t, e)
		t.Log(said)
	})
}
