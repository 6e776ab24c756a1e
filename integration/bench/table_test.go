// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// table is what was measured, one row a figure.
type table struct{ rows [][5]string }

// add adds a figure; runc, ratio and goal may be empty.
func (f *table) add(figure, ours, runc, ratio, goal string) {
	f.rows = append(f.rows, [5]string{figure, ours, runc, ratio, goal})
	fmt.Printf("%-60s %12s %12s %6s  %s\n", figure, ours, runc, ratio, goal)
}

// beside adds two durations and their ratio.
func (f *table) beside(figure string, ours, runc time.Duration, goal string) {
	f.add(figure, ms(ours), ms(runc), fmt.Sprintf("%.2f", float64(ours)/float64(runc)), goal)
}

func (f *table) String() string {
	var b strings.Builder
	b.WriteString("| Figure | Wasm | runc | Ratio | Goal |\n|---|---|---|---|---|\n")
	for _, row := range f.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row[:], " | "))
	}
	return b.String()
}

// The table lies between these lines of docs/benchmarks.md.
const (
	begins = "<!-- make bench writes from here -->\n"
	ends   = "<!-- to here -->\n"
)

// write puts the table and the conditions it was measured under into
// docs/benchmarks.md and leaves the rest of the file as it is.
func (f *table) write(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "benchmarks.md")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(old), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !found || !closed {
		t.Fatalf("%s has no lines %q and %q", path, begins, ends)
	}
	text := before + begins + "\n" + conditions() + "\n" + f.String() + "\n" + ends + after
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func conditions() string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	groups := "cgroup v1"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		groups = "cgroup v2"
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("Measured %s on %s/%s, %d processors, Linux %s, %s, %s, containerd %s, overlayfs; load average at the end %s.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		unix.ByteSliceToString(name.Release[:]), groups, runtime.Version(), harness.DefaultVersion,
		strings.Join(strings.Fields(string(load))[:1], ""))
}

// median is the middle of the durations.
func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func ms(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
