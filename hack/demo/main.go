// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo runs a private containerd in a clean room, and in it Wasm
// samples by the shim beside a Linux container by runc; then a private dockerd
// and on it the Compose stack of examples. It is run by
// hack/demo.sh in the repository's folder, with everything built.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"containerd-shim-wazero/integration/image"
	"containerd-shim-wazero/integration/room"
)

const (
	rounds   = 10
	patience = 30 * time.Second

	wasmImage  = "docker.io/library/samples:latest"
	linuxImage = "docker.io/library/busybox:latest"
)

// samples are the modules that are shown, each with the arguments it gets and
// the status it must end with.
var samples = []struct {
	title  string
	args   []string
	status int
}{
	{"a C program", []string{"/hello-c.wasm"}, 0},
	{"a Rust program", []string{"/hello-rust.wasm"}, 0},
	{"a Go program", []string{"/hello-go.wasm"}, 0},
	{"one that fails", []string{"/box.wasm", "exit", "42"}, 42},
	{"one that traps", []string{"/crash.wasm"}, 134},
}

func main() {
	os.Exit(room.Run(copyTools, show))
}

// copyTools puts the programs on one PATH, whoever owns the repository.
func copyTools(dir string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	for _, program := range []string{
		"containerd-shim-wazero-v1", "stack/runc/bin/runc", "stack/containerd-2.4/bin/containerd",
		"stack/containerd-2.4/bin/ctr", "stack/containerd-2.4/bin/containerd-shim-runc-v2",
		"stack/docker/bin/dockerd", "stack/docker/bin/docker", "stack/docker/bin/docker-proxy",
		"stack/docker/bin/docker-compose",
	} {
		body, err := os.ReadFile(filepath.Join("build", program))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(bin, filepath.Base(program)), body, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func show() int {
	if err := demo(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

func demo() error {
	os.Setenv("PATH", filepath.Join(room.Dir(), "bin")+":"+os.Getenv("PATH"))
	os.Setenv("CONTAINERD_NAMESPACE", room.Name())
	os.Setenv("CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS", "1")
	stop, err := startContainerd()
	if err != nil {
		return err
	}
	defer stop()
	for _, img := range []func() (image.Image, error){wasm, busybox} {
		if err := load(img, "ctr", "image", "import", "--all-platforms"); err != nil {
			return err
		}
	}

	for _, sample := range samples {
		fmt.Printf("\n# %s\n$ ctr run --rm --runtime io.containerd.wazero.v1 --platform wasi/wasm %s demo %s\n",
			sample.title, wasmImage, strings.Join(sample.args, " "))
		took, status, output := run(shimArgs(sample.args))
		fmt.Print(output)
		fmt.Printf("[status %d, %d ms]\n", status, took.Milliseconds())
		if status != sample.status {
			return fmt.Errorf("%s: status %d, want %d", sample.title, status, sample.status)
		}
	}
	if err := compare(); err != nil {
		return err
	}
	return stack()
}

func shimArgs(args []string) []string {
	return append([]string{"--runtime", "io.containerd.wazero.v1", "--platform", "wasi/wasm", wasmImage, "demo"}, args...)
}

func runcArgs(args ...string) []string {
	return append([]string{"--runtime", "io.containerd.runc.v2", linuxImage, "demo"}, args...)
}

// compare shows the medians of a few runs beside runc's.
func compare() error {
	fmt.Printf("\n# the same again and again: ctr run --rm, median of %d\n", rounds)
	for _, row := range []struct {
		name string
		args []string
	}{
		{"this shim, C", shimArgs([]string{"/hello-c.wasm"})},
		{"this shim, Rust", shimArgs([]string{"/hello-rust.wasm"})},
		{"this shim, Go", shimArgs([]string{"/hello-go.wasm"})},
		{"runc, busybox echo", runcArgs("echo", "hello")},
	} {
		var times []time.Duration
		for range rounds {
			took, status, output := run(row.args)
			if status != 0 {
				return fmt.Errorf("%s: status %d: %s", row.name, status, output)
			}
			times = append(times, took)
		}
		slices.Sort(times)
		fmt.Printf("%-20s %4d ms\n", row.name, times[rounds/2].Milliseconds())
	}
	client, _, _ := timed("ctr", "version")
	fmt.Printf("%-20s %4d ms of each are ctr's own\n", "", client.Milliseconds())
	return nil
}

func run(args []string) (time.Duration, int, string) {
	return timed("ctr", append([]string{"run", "--rm"}, args...)...)
}

// timed runs a program and answers with its time, status and whole output.
func timed(name string, args ...string) (time.Duration, int, string) {
	var output bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if cmd.ProcessState == nil {
		return took, -1, err.Error()
	}
	return took, cmd.ProcessState.ExitCode(), output.String()
}

// startContainerd runs containerd with its state in the room.
func startContainerd() (stop func(), err error) {
	config := filepath.Join(room.Dir(), "containerd.toml")
	if err := os.WriteFile(config, []byte(`version = 4
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
[plugins."io.containerd.nri.v1.nri"]
  disable = true
`), 0o644); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(room.Dir(), "containerd.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("containerd", "-c", config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, status, _ := timed("ctr", "version"); status == 0 {
			return stop, nil
		}
	}
	stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("containerd does not answer; its log:\n%s", text)
}

// load imports an image as a user does, by a command that takes its archive.
func load(make func() (image.Image, error), command ...string) error {
	img, err := make()
	if err != nil {
		return err
	}
	archive := filepath.Join(room.Dir(), "image.tar")
	file, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := img.Write(file); err != nil {
		return err
	}
	fmt.Printf("$ %s %s\n", strings.Join(command, " "), filepath.Base(archive))
	if _, status, output := timed(command[0], append(command[1:], archive)...); status != 0 {
		return fmt.Errorf("import %s: %s", img.Name, output)
	}
	return nil
}

func wasm() (image.Image, error) {
	img := image.Image{Name: wasmImage, Files: []image.File{image.Dir("tmp", 0o777)}}
	for _, name := range []string{"hello-c.wasm", "hello-rust.wasm", "hello-go.wasm", "box.wasm", "crash.wasm"} {
		file, err := image.Copy(name, filepath.Join("build/guests", name))
		if err != nil {
			return img, err
		}
		img.Files = append(img.Files, file)
	}
	return img, nil
}

func busybox() (image.Image, error) {
	file, err := image.Copy("bin/busybox", "/bin/busybox")
	return image.Image{Name: linuxImage, OS: "linux", Arch: runtime.GOARCH, Files: []image.File{
		image.Dir("bin", 0o755), file, image.Link("bin/echo", "busybox"),
	}}, err
}
