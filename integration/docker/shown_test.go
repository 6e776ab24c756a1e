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
	words := typed(t)
	commands := regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(e.Ask(t, "container", "--help"), -1)
	if len(commands) < 20 {
		t.Errorf("docker container has %d commands", len(commands))
	}
	for _, command := range commands {
		if !words["docker "+command[1]] && !words["container "+command[1]] {
			t.Errorf("no script has docker %s", command[1])
		}
	}
	options := regexp.MustCompile(`(?m)^ +(?:(-[a-zA-Z]), )?(--[a-z0-9-]+)`).FindAllStringSubmatch(e.Ask(t, "run", "--help"), -1)
	if len(options) < 90 {
		t.Errorf("docker run has %d options", len(options))
	}
	for _, option := range options {
		if !words[option[2]] && !words[option[1]] && option[2] != "--help" {
			t.Errorf("no script has docker run %s", option[2])
		}
	}
}

// TestCommandTable: what docs/docker.md lists as for Linux is shown on both
// runtimes, and few rows differ.
func TestCommandTable(t *testing.T) {
	words := typed(t)
	var rows, differing int
	for _, row := range table(t) {
		rows++
		if row.how != "as for Linux" {
			differing++
			continue
		}
		for _, word := range row.words {
			if !words[word] && !words["docker "+word] && !words["container "+word] {
				t.Errorf("no script that runs on both runtimes has %q", word)
			}
		}
	}
	if rows < 10 || differing > mostDiffering {
		t.Errorf("%d of %d rows differ", differing, rows)
	}
}

// row is one of the command table, with the words between backquotes of its
// first cell.
type row struct {
	words []string
	how   string
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
		var words []string
		for _, match := range quoted.FindAllStringSubmatch(cells[1], -1) {
			words = append(words, strings.Fields(match[1])...)
		}
		rows = append(rows, row{words, strings.TrimSpace(cells[2])})
	}
	return rows
}

// combined are options of one letter in one word.
var combined = regexp.MustCompile(`^-[a-z]{2,3}$`)

// typed has the words of every script that runs on both runtimes, and of
// TestEffects: "run", "docker run", "--name" …
func typed(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("scripts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	// $on has the first two.
	words := map[string]bool{"--runtime": true, "--platform": true}
	add := func(line string) {
		var last string
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t=;&|()", r) }) {
			words[word], words[last+" "+word] = true, true
			last = word
			for _, letter := range combined.FindString(word) { // -it
				words["-"+string(letter)] = true
			}
		}
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(body), asForLinux) {
			continue
		}
		steps, err := parse(string(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			add(step.command)
		}
	}
	for _, effect := range effects {
		add(effect.options)
	}
	return words
}
