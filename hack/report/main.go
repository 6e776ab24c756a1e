// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Command report turns the JSON of go test on stdin into a report in
// Markdown: the machine, and each test with its outcome. It has no times: they are
// the benchmarks' matter.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// event is a line of go test -json.
type event struct{ Action, Package, Test, Output string }

// suite is one package's tests in their order.
type suite struct {
	name     string
	tests    []event
	outcomes map[string]int              // how many, by action
	output   map[string]*strings.Builder // of each test, shown where it did not pass
}

func main() {
	suites, err := read(os.Stdin)
	if err == nil {
		err = write(os.Stdout, suites)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func read(r io.Reader) (suites []*suite, err error) {
	byName := map[string]*suite{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Package == "" {
			continue // a build's output
		}
		s := byName[e.Package]
		if s == nil {
			s = &suite{name: e.Package, outcomes: map[string]int{}, output: map[string]*strings.Builder{}}
			byName[e.Package] = s
			suites = append(suites, s)
		}
		s.add(e)
	}
	return suites, lines.Err()
}

func (s *suite) add(e event) {
	switch e.Action {
	case "output":
		if s.output[e.Test] == nil {
			s.output[e.Test] = &strings.Builder{}
		}
		s.output[e.Test].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			s.tests = append(s.tests, e)
			s.outcomes[e.Action]++
		}
	}
}

func write(w io.Writer, suites []*suite) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# Test report\n\nMade by `make test-full` on %s, %d cores, %s.\n", kernel(), runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(out, "\n| Package | Passed | Failed | Skipped |\n|---|---|---|---|\n")
	for _, s := range suites {
		if len(s.tests) > 0 {
			fmt.Fprintf(out, "| %s | %d | %d | %d |\n", s.name, s.outcomes["pass"], s.outcomes["fail"], s.outcomes["skip"])
		}
	}
	for _, s := range suites {
		if len(s.tests) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n## %s\n\n| Test | |\n|---|---|\n", s.name)
		for _, e := range s.tests {
			fmt.Fprintf(out, "| %s | %s |\n", strings.ReplaceAll(e.Test, "|", "\\|"), e.Action)
		}
		for _, e := range s.tests {
			if e.Action != "pass" && s.output[e.Test] != nil {
				fmt.Fprintf(out, "\n%s:\n\n```\n%s```\n", e.Test, s.output[e.Test])
			}
		}
	}
	return out.Flush()
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "Linux"
	}
	version := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	return "Linux " + strings.Join(version[:min(2, len(version))], ".") + " " + unix.ByteSliceToString(u.Machine[:])
}
