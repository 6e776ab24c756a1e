// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/image"
	"containerd-shim-wazero/sandbox/wasi/testsuite"
)

// suiteSize is how many tests the public suite for WASI 0.1 has.
const suiteSize = 72

// TestWASISuite is the public test suite for WASI 0.1, each test in a container
// of its own: the root of its file system is the directory that the test wants.
func TestWASISuite(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := testsuite.Folder(t, filepath.Join(root, "../shared/conformance/wasi-testsuite-p1"))
	if n := testsuite.Run(t, folder, inContainer(harness.Shared(t), map[string]bool{})); n != suiteSize {
		t.Errorf("%d tests, want %d", n, suiteSize)
	}
}

// TestWASIConformance is the same for the project's own tests.
func TestWASIConformance(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := testsuite.Build(t, filepath.Join(root, "sandbox/wasi/conformance"))
	if n := testsuite.Run(t, folder, inContainer(harness.Shared(t), map[string]bool{})); n == 0 {
		t.Error("no tests")
	}
}

// inContainer starts a suite's guests in containers. One image serves all tests
// that have their module and their root in common folders.
func inContainer(node *harness.Node, imported map[string]bool) testsuite.Host {
	return func(t *testing.T, c testsuite.Command) *testsuite.Process {
		img := suiteImage(t, c)
		if !imported[img.Name] {
			node.Import(t, img)
			imported[img.Name] = true
		}
		stdin, toStdin := io.Pipe()
		fromStdout, stdout := io.Pipe()
		fromStderr, stderr := io.Pipe()
		container := node.Container(t, img.Name, append([]string{"/.suite/" + c.Args[0]}, c.Args[1:]...)...).
			Stdin(stdin).Stdout(stdout).Stderr(stderr).
			Spec(func(s *specs.Spec) { s.Process.Env = c.Env })
		if c.Root == "" {
			container.Annotation(harness.Runtime+"/preopens", "none")
		}
		task := container.Start()
		t.Cleanup(func() { fromStdout.Close(); fromStderr.Close() })
		return &testsuite.Process{Stdin: toStdin, Stdout: fromStdout, Stderr: fromStderr, Wait: func() (int, error) {
			result := task.Wait()
			stdout.Close()
			stderr.Close()
			task.Delete()
			return result.Status, nil
		}}
	}
}

// suiteImage has the modules of a test's folder under /.suite, and the test's
// own files at its root.
func suiteImage(t *testing.T, c testsuite.Command) image.Image {
	t.Helper()
	folder := filepath.Dir(c.Module)
	img := image.Image{Name: "docker.io/library/suite-" + filepath.Base(folder) + "-bare:" + filepath.Base(filepath.Dir(folder))}
	if c.Root != "" {
		img.Name = "docker.io/library/suite-" + filepath.Base(folder) + ":" + filepath.Base(filepath.Dir(folder))
		img.Files = treeOf(t, c.Root)
	}
	img.Files = append(img.Files, image.Dir(".suite", 0o755))
	modules, err := filepath.Glob(filepath.Join(folder, "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range modules {
		file, err := image.Copy(".suite/"+filepath.Base(module), module)
		if err != nil {
			t.Fatal(err)
		}
		img.Files = append(img.Files, file)
	}
	return img
}

// treeOf are the files of a folder.
func treeOf(t *testing.T, folder string) (files []image.File) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(folder, path)
		if err != nil || name == "." {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file := image.File{Path: name, Mode: info.Mode()}
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			file.Link, err = os.Readlink(path)
		case info.Mode().IsRegular():
			file.Body, err = os.ReadFile(path)
		}
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
