// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// step is one command of a script and what it answers.
type step struct {
	line    int
	command string
	again   bool // until the answer is right
	answer  []string
	status  int
}

// asForLinux begins a script that runs on both runtimes.
const asForLinux = "# As for Linux"

// TestScripts types every script.
func TestScripts(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	gonet(t, e)
	files, err := filepath.Glob("scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts: ", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := parse(string(body))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Run("wasm", func(t *testing.T) {
				script{e, t, file, "on=--runtime " + engine.Runtime + " --platform wasi/wasm", "image=" + engine.Box}.run(steps)
			})
			if strings.HasPrefix(string(body), asForLinux) {
				t.Run("linux", func(t *testing.T) {
					script{e, t, file, "on=--runtime runc", "image=" + engine.LinuxBox}.run(steps)
				})
			}
		})
	}
}

type script struct {
	*engine.Engine
	t         *testing.T
	file      string
	on, image string
}

func (s script) run(steps []step) {
	dir := s.t.TempDir()
	before := harness.Hold()
	defer s.leaveNothing(before)
	for _, step := range steps {
		where := fmt.Sprintf("%s:%d", s.file, step.line)
		deadline := time.Now().Add(harness.Patience / 2)
		for {
			cmd := s.ShellCommand(s.t, dir, "exec 2>&1; "+step.command, s.on, s.image)
			result := harness.Execute(s.t, cmd)
			answer := lines(result.Stdout)
			if result.Status == step.status && matches(step.answer, answer) {
				break
			}
			if step.again && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			s.t.Errorf("%s: $ %s\n%s\n[%d]\nwanted:\n%s\n[%d]", where, step.command,
				strings.Join(answer, "\n"), result.Status, strings.Join(step.answer, "\n"), step.status)
			if step.again {
				return // what follows would wait in vain as well
			}
			break
		}
	}
}

// leaveNothing removes what a script made, and looks for leftovers.
func (s script) leaveNothing(before harness.Holdings) {
	s.Remove(s.t)
	for _, item := range harness.LeftSince(before) {
		if !s.Owns(item) {
			s.t.Errorf("left behind: %s", item)
		}
	}
}

func lines(output string) []string {
	// A terminal has its own ends of lines, and script(1) its end of input.
	output = strings.NewReplacer("\r\n", "\n", "^@", "", "^D\b\b", "").Replace(output)
	output = strings.TrimSuffix(output, "\n")
	if output == "" {
		return nil
	}
	all := strings.Split(output, "\n")
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	return all
}

func parse(body string) (steps []step, err error) {
	var now *step
	for i, line := range strings.Split(body, "\n") {
		command, again := strings.CutPrefix(line, "~$ ")
		if !again {
			command, _ = strings.CutPrefix(line, "$ ")
		}
		switch {
		case command != line:
			steps = append(steps, step{line: i + 1, command: command, again: again})
			now = &steps[len(steps)-1]
		case strings.HasPrefix(line, "#"), line == "" && now == nil:
		case now == nil:
			return nil, fmt.Errorf("line %d: no command before it", i+1)
		case status.MatchString(line):
			_, _ = fmt.Sscanf(line, "[%d]", &now.status)
			now = nil
		case line == "":
			now = nil
		default:
			now.answer = append(now.answer, line)
		}
	}
	return steps, nil
}

var status = regexp.MustCompile(`^\[\d+\]$`)

// matches says whether lines are as wanted; "..." in a wanted line is any
// text, and alone any number of lines.
func matches(want, have []string) bool {
	for i, line := range want {
		if line == "..." {
			for skip := 0; skip <= len(have)-i; skip++ {
				if matches(want[i+1:], have[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(have) || !like(line, have[i]) {
			return false
		}
	}
	return len(want) == len(have)
}

func like(want, have string) bool {
	parts := strings.Split(want, "...")
	for i, part := range parts {
		at := strings.Index(have, part)
		switch {
		case i == len(parts)-1 && i > 0:
			return strings.HasSuffix(have, part)
		case at < 0, i == 0 && at > 0:
			return false
		}
		have = have[at+len(part):]
	}
	return have == ""
}

func TestMatches(t *testing.T) {
	for _, row := range []struct {
		want, have string
		matches    bool
	}{
		{"", "", true}, {"a", "a", true}, {"a", "b", false}, {"a", "a\nb", false}, {"a\nb", "a", false},
		{"a...", "abc", true}, {"...c", "abc", true}, {"a...c", "abc", true}, {"a...d", "abc", false},
		{"a...", "b", false}, {"...", "a\nb", true}, {"...\nb", "a\nb", true}, {"...\nc", "a\nb", false},
		{"a\n...\nz", "a\nz", true}, {"a\n...", "a", true}, {"ab...", "a", false},
	} {
		if got := matches(lines(row.want), lines(row.have)); got != row.matches {
			t.Errorf("%q and %q: %v", row.want, row.have, got)
		}
	}
}
