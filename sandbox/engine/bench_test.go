// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/config"
)

// guests are what is measured; make guests builds them.
var guests = []string{"hello-c", "hello-rust", "hello-go"}

func guestModule(b testing.TB, name string) []byte {
	b.Helper()
	bin, err := os.ReadFile("../../build/guests/" + name + ".wasm")
	if err != nil {
		b.Skipf("%v: run hack/guests.sh", err)
	}
	return bin
}

// BenchmarkCompile is what a first start costs beside a later one, which is
// BenchmarkLoad.
func BenchmarkCompile(b *testing.B) {
	for _, name := range guests {
		b.Run(name, func(b *testing.B) {
			bin := guestModule(b, name)
			for b.Loop() {
				imageOf(b, bin)
			}
		})
	}
}

// BenchmarkLoad loads an image in this process, again and again.
func BenchmarkLoad(b *testing.B) {
	for _, name := range guests {
		b.Run(name, func(b *testing.B) {
			img := imageOf(b, guestModule(b, name))
			p := &config.Process{Args: []string{"guest"}, Preopens: []config.Preopen{}}
			b.ReportAllocs()
			for b.Loop() {
				g, err := Load(context.Background(), p, img, nil)
				if err != nil {
					b.Fatal(err)
				}
				release(g)
			}
		})
	}
}

// BenchmarkIdle reports the memory of processes that have loaded a guest and
// wait, in kB: what is private to each, and its share of what they have in
// common.
func BenchmarkIdle(b *testing.B) {
	const processes = 8
	for _, name := range guests {
		b.Run(name, func(b *testing.B) {
			img := imageOf(b, guestModule(b, name))
			for b.Loop() {
				var private, pss int
				var running []*waiting
				for range processes {
					running = append(running, waitLoaded(b, img))
				}
				for _, w := range running {
					private += smaps(b, w.cmd, "Private_Dirty", "Private_Clean")
					pss += smaps(b, w.cmd, "Pss")
				}
				for _, w := range running {
					w.end()
				}
				b.ReportMetric(float64(private)/processes, "kB-private")
				b.ReportMetric(float64(pss)/processes, "kB-pss")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

type waiting struct {
	cmd   *exec.Cmd
	stdin *os.File
}

func (w *waiting) end() {
	w.stdin.Close()
	w.cmd.Wait()
}

func waitLoaded(b testing.TB, img *os.File) *waiting {
	b.Helper()
	cmd, _, _, _ := guestCommand(b, img, guestJob{Wait: true})
	inR, inW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{inR, outW, null, img}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	inR.Close()
	outW.Close()
	null.Close()
	line := make([]byte, 64)
	if n, _ := outR.Read(line); !bytes.HasPrefix(line[:n], []byte("loaded")) {
		b.Fatalf("the guest says %q", line[:n])
	}
	outR.Close()
	return &waiting{cmd, inW}
}

// smaps sums fields of a process's smaps_rollup, in kB.
func smaps(b testing.TB, cmd *exec.Cmd, fields ...string) (sum int) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		for _, f := range fields {
			var n int
			if _, err := fmt.Sscanf(line, f+": %d kB", &n); err == nil {
				sum += n
			}
		}
	}
	return sum
}

// release unmaps what a guest holds outside of Go's heap; in a sandbox process
// this goes with the process.
func release(g *Guest) {
	_ = g.module.Close(context.Background())
	if g.memory != nil {
		_ = unix.Munmap(g.memory.reserved)
	}
	_ = unix.Munmap(g.image.data)
}
