// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"cmp"
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
type table struct {
	rows [][4]string
	with string // the software beside containerd, with its version
}

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

// block is where the table of a section lies in docs/benchmarks.md: between two
// lines that mark it.
type block struct{ path, begins, ends string }

// newBlock fails where there is no such block, before anything is measured for it.
func newBlock(t *testing.T, section string) block {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	b := block{filepath.Join(root, "docs", "benchmarks.md"), "<!-- make bench writes " + section + " from here -->\n", "<!-- to here -->\n"}
	b.around(t)
	return b
}

// around is the file's text before and after the block.
func (b block) around(t *testing.T) (before, after string) {
	t.Helper()
	text, err := os.ReadFile(b.path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), b.begins)
	_, after, closed := strings.Cut(rest, b.ends)
	if !found || !closed {
		t.Fatalf("%s has no lines %q and %q", b.path, b.begins, b.ends)
	}
	return before, after
}

// write replaces the block and leaves the rest of the file as it is.
func (b block) write(t *testing.T, text string) {
	t.Helper()
	before, after := b.around(t)
	if err := os.WriteFile(b.path, []byte(before+b.begins+"\n"+text+"\n"+b.ends+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// conditions are those the figures were measured under.
func conditions(with string) string {
	groups := "cgroup v1"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		groups = "cgroup v2"
	}
	if with != "" {
		with = ", " + with
	}
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("Measured %s on %s/%s, %d processors, %s, %s, containerd %s%s, overlayfs; %d rounds; load average at the end %s.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		groups, runtime.Version(), harness.DefaultVersion, with, *rounds,
		strings.Join(strings.Fields(string(load))[:1], ""))
}

// median is the middle of what was measured.
func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

func ms(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
