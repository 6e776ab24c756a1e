// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

// mostDiffering is how many rows of the command table may differ from Linux.
const mostDiffering = 10

// TestEveryOptionIsShown asks the real command line for its commands for
// containers and for the options of docker run: each is in a script that is
// typed on both runtimes, or in the table of TestEffects.
func TestEveryOptionIsShown(t *testing.T) {
	e := engine.Shared(t)
	said := typed(t, true)
	commands := regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(e.Ask(t, "container", "--help"), -1)
	if len(commands) < 20 {
		t.Errorf("docker container has %d commands", len(commands))
	}
	for _, command := range commands {
		if !said[command[1]] {
			t.Errorf("no script has docker %s", command[1])
		}
	}
	options := regexp.MustCompile(`(?m)^ +(?:(-[a-zA-Z]), )?(--[a-z0-9-]+)`).FindAllStringSubmatch(e.Ask(t, "run", "--help"), -1)
	if len(options) < 90 {
		t.Errorf("docker run has %d options", len(options))
	}
	for _, option := range options {
		if !said.has("run "+option[2]) && !said.has("run "+option[1]) && option[2] != "--help" {
			t.Errorf("no script has docker run %s", option[2])
		}
	}
}

// TestCommandTable: what docs/docker.md lists as for Linux is shown on both
// runtimes, what differs is shown on the shim, and few rows differ.
func TestCommandTable(t *testing.T) {
	onBoth, any := typed(t, true), typed(t, false)
	var rows, differing int
	for _, row := range table(t) {
		rows++
		said, where := onBoth, "that runs on both runtimes "
		if row.how != "as for Linux" {
			differing++
			said, where = any, ""
		}
		for _, command := range row.commands {
			if !said.has(command) {
				t.Errorf("no script %shas %q", where, command)
			}
		}
	}
	if rows < 10 || differing > mostDiffering {
		t.Errorf("%d of %d rows differ", differing, rows)
	}
}

// row is one of the command table, with what is between backquotes in its
// first cell.
type row struct {
	commands []string
	how      string
}

func table(t *testing.T) (rows []row) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/docker.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n## Commands\n")
	commands, _, _ := strings.Cut(after, "\n## ")
	quoted := regexp.MustCompile("`([^`]*)`")
	for line := range strings.Lines(commands) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		now := row{how: strings.TrimSpace(cells[2])}
		var command string // that the options between further backquotes are of
		for _, match := range quoted.FindAllStringSubmatch(cells[1], -1) {
			words := strings.Fields(match[1])
			if !strings.HasPrefix(words[0], "-") {
				command, words = name(words)
				now.commands = append(now.commands, command)
			}
			for i, word := range words {
				if !strings.HasPrefix(word, "-") {
					word = words[i-1] + " " + word // a value
				}
				now.commands = append(now.commands, command+" "+word)
			}
		}
		rows = append(rows, now)
	}
	return rows
}
