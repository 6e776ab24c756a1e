// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/sandbox/config"
)

// The test binary is also the process that runs a guest: it has the
// descriptors of a sandbox process, and the image where the control socket is.
const guestEnv = "ENGINE_TEST_GUEST"

type guestJob struct {
	Process config.Process
	Limit   uint64
	// Wait stops after loading, until stdin ends.
	Wait bool
	// Maps prints the process's mappings after loading.
	Maps bool
	// NoStderr closes the reading end of the guest's standard error.
	NoStderr bool
}

func TestMain(m *testing.M) {
	if job := os.Getenv(guestEnv); job != "" {
		os.Exit(beGuest(job))
	}
	os.Exit(m.Run())
}

// Exit status of a guest that was not loaded.
const notLoaded = 250

func beGuest(text string) int {
	var job guestJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		panic(err)
	}
	if job.Process.Preopens == nil {
		job.Process.Preopens = []config.Preopen{}
	}
	g, err := Load(context.Background(), &job.Process, os.NewFile(config.FDControl, "image"), func() uint64 { return job.Limit })
	if err != nil {
		fmt.Fprint(os.NewFile(config.FDStderr, ""), err)
		return notLoaded
	}
	if job.Maps {
		maps, _ := os.ReadFile("/proc/self/maps")
		os.NewFile(config.FDStdout, "").Write(maps)
	}
	if job.Wait {
		fmt.Fprintln(os.NewFile(config.FDStdout, ""), "loaded")
		os.NewFile(config.FDStdin, "").Read(make([]byte, 1))
	}
	return g.Run(context.Background())
}

// imageOf returns the image of a module.
func imageOf(t testing.TB, bin []byte) *os.File {
	t.Helper()
	return imageIn(t, t.TempDir(), bin)
}

// imageIn is imageOf, with the image in a folder.
func imageIn(t testing.TB, dir string, bin []byte) *os.File {
	t.Helper()
	f, err := os.CreateTemp(dir, "image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := Compile(context.Background(), bin, f); err != nil {
		t.Fatal(err)
	}
	return f
}

type guestResult struct {
	status      int
	stdout, err string
	log         string
}

// guestCommand is a process that loads an image and runs it.
func guestCommand(t testing.TB, image *os.File, job guestJob) (cmd *exec.Cmd, stdout, stderr, log *bytes.Buffer) {
	t.Helper()
	if job.Process.Args == nil {
		job.Process.Args = []string{"guest"}
	}
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, exe)
	// As a sandbox process has it.
	cmd.Env = []string{guestEnv + "=" + string(text), "GOMAXPROCS=2", "GOGC=off", "GOMEMLIMIT=32MiB"}
	return cmd, new(bytes.Buffer), new(bytes.Buffer), new(bytes.Buffer)
}

func runGuest(t testing.TB, bin []byte, job guestJob) guestResult {
	t.Helper()
	return runImage(t, imageOf(t, bin), job)
}

func runImage(t testing.TB, image *os.File, job guestJob) guestResult {
	t.Helper()
	cmd, stdout, stderr, log := guestCommand(t, image, job)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	outR, outW, _ := os.Pipe()
	errR, errW, _ := os.Pipe()
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{null, outW, errW, image}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	outW.Close()
	errW.Close()
	if job.NoStderr {
		errR.Close()
	}
	done := make(chan struct{})
	go func() { stderr.ReadFrom(errR); close(done) }()
	stdout.ReadFrom(outR)
	<-done
	outR.Close()
	errR.Close()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return guestResult{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), log.String()}
}

func contains(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s is %q, want %q in it", what, text, w)
		}
	}
}
