// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commands are those of docker that were typed, each also with every option,
// and every option with its value: "run", "run --network", "run --network
// host", "network connect" … A command for containers is there by its short
// name, and a line of a Dockerfile by its first word.
type commands map[string]bool

// has looks for a command and option of the table; docker create has the
// options of docker run.
func (c commands) has(command string) bool {
	option, ofRun := strings.CutPrefix(command, "run ")
	return c[command] || ofRun && c["create "+option]
}

// typed has what every script types, or those alone that run on both runtimes,
// and the options of TestEffects, which has both as well.
func typed(t *testing.T, onBoth bool) commands {
	t.Helper()
	files, err := filepath.Glob("scripts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	// $on has the first two.
	said := commands{"run --runtime": true, "run --platform": true}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if onBoth && !strings.HasPrefix(string(body), asForLinux) {
			continue
		}
		steps, err := parse(string(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			said.line(step.command)
		}
	}
	for _, effect := range effects {
		said.line("docker run " + effect.options)
	}
	return said
}

var (
	// inner is what a line of shell has in parentheses, without others in it.
	inner = regexp.MustCompile(`\$?\(([^()]*)\)`)
	quote = strings.NewReplacer(`"`, " ", "'", " ", "[", " ")
	// combined are options of one letter in one word.
	combined = regexp.MustCompile(`^-[a-z]{2,3}$`)
	capitals = regexp.MustCompile(`^[A-Z]{3,}$`)

	// grouped are commands whose next word is a command as well.
	grouped = []string{"checkpoint", "container", "image", "network", "system", "volume"}
	// ends are where the options of docker run and docker exec end: images,
	// and the program.
	ends = []string{"$image", "busybox", "box-linux", "guests", "gonet", "checked", "committed", "exposed", "/box", "/gonet"}
)

// line adds the commands in a line of shell.
func (c commands) line(line string) {
	for at := inner.FindStringSubmatchIndex(line); at != nil; at = inner.FindStringSubmatchIndex(line) {
		c.line(line[at[2]:at[3]])
		line = line[:at[0]] + "X" + line[at[1]:]
	}
	for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(";|&", r) }) {
		words := strings.Fields(quote.Replace(part))
		if i := slices.Index(words, "docker"); i >= 0 && i+1 < len(words) {
			c.command(words[i+1:])
		}
	}
}

// command adds one, up to the image or the program of the container.
func (c commands) command(words []string) {
	command, words := name(words)
	c[command] = true
	if group, _, in := strings.Cut(command, " "); in {
		c[group] = true
	}
	for i, word := range words {
		word, value, _ := strings.Cut(word, "=")
		switch {
		case slices.Contains(ends, word) && !strings.HasPrefix(words[max(0, i-1)], "--entrypoint"):
			return
		case capitals.MatchString(word):
			c[word] = true
		case !strings.HasPrefix(word, "-"):
			continue
		}
		c[command+" "+word] = true
		if value == "" && i+1 < len(words) {
			value = words[i+1]
		}
		c[command+" "+word+" "+value] = true
		for _, letter := range combined.FindString(word) { // -it
			c[command+" -"+string(letter)] = true
		}
	}
}

// name divides a command into its name and what follows.
func name(words []string) (command string, rest []string) {
	n := 1
	if slices.Contains(grouped, words[0]) && len(words) > 1 {
		n = 2
	}
	return strings.TrimPrefix(strings.Join(words[:n], " "), "container "), words[n:]
}

// TestTyped: only what docker is told counts.
func TestTyped(t *testing.T) {
	said := commands{}
	said.line(`mkdir -m 770 d; docker run --rm --ip=::1 $on -u "$(docker container inspect -f '{{.X}}' c1)" --network host $image sh -x --init`)
	said.line(`script -qec "docker exec -it c1 /box tty -w" /dev/null | (docker network connect --ip 1 net c1)`)
	said.line(`docker create --entrypoint /box -v d:/d busybox -p; docker commit --change 'EXPOSE 80' c1 exposed`)
	for command, want := range map[string]bool{
		"run": true, "run --rm": true, "run --ip": true, "run --ip ::1": true, "run -u": true, "run --network host": true,
		"inspect": true, "inspect -f": true, "exec -i": true, "exec -t": true, "network connect": true, "network": true,
		"network connect --ip": true, "run --entrypoint": true, "run -v": true, "EXPOSE": true,
		"run -m": false, "run -x": false, "run --init": false, "exec -w": false, "run -f": false, "exec -q": false,
		"run -p": false, "connect": false, "exec --rm": false, "run --name": false,
	} {
		if said.has(command) != want {
			t.Errorf("%q was typed: %v, want %v", command, !want, want)
		}
	}
}
