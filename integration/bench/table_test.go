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

	"containerd-shim-wazero/integration/harness"
)

// table is what was measured, one row a figure. Durations are printed and not
// kept: they are of one machine at one hour, their ratios are what is written.
type table struct{ rows [][4]string }

// add adds a figure that is no duration; runc, ratio and goal may be empty.
func (f *table) add(figure, ours, runc, ratio, goal string) {
	kept := ours
	if runc != "" {
		kept += ", runc " + runc
	}
	f.row(figure, kept, ratio, goal)
	fmt.Printf("%-60s %12s %12s %6s  %s\n", figure, ours, runc, ratio, goal)
}

// beside adds two durations and their ratio.
func (f *table) beside(figure string, ours, theirs time.Duration, goal string) {
	ratio := fmt.Sprintf("%.2f", float64(ours)/float64(theirs))
	f.row(figure, "", ratio, goal)
	fmt.Printf("%-60s %12s %12s %6s  %s\n", figure, ms(ours), ms(theirs), ratio, goal)
}

// within adds a duration that has a limit of its own.
func (f *table) within(figure string, took, limit time.Duration) {
	f.row(figure, "", fmt.Sprintf("%.2f of the limit", float64(took)/float64(limit)), "under "+limit.String())
	fmt.Printf("%-60s %12s %12s\n", figure, ms(took), limit)
}

func (f *table) row(figure, value, ratio, goal string) {
	f.rows = append(f.rows, [4]string{figure, value, ratio, goal})
}

func (f *table) String() string {
	var b strings.Builder
	b.WriteString("| Figure, beside runc where nothing else is said | Value | Ratio | Goal |\n|---|---|---|---|\n")
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
	groups := "cgroup v1"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		groups = "cgroup v2"
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("Measured %s on %s/%s, %d processors, %s, %s, containerd %s, overlayfs; load average at the end %s.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		groups, runtime.Version(), harness.DefaultVersion,
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
