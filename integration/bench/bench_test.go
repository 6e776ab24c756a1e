// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
)

var (
	rounds   = flag.Int("rounds", 25, "how often each thing is done whose median is taken")
	idle     = flag.Int("idle", 200, "how many idle containers there are at once")
	hundreds = flag.Int("hundreds", 1, "how often a hundred pods of each kind are started")
	output   = flag.Bool("write", false, "write what was measured into docs/benchmarks.md")
)

func TestMain(m *testing.M) { engine.Main(m, "kubernetes", "crictl") }

// section is a table of docs/benchmarks.md and what fills it, in its order.
type section struct {
	name    string
	figures []figure
}

type figure struct {
	name    string
	measure func(*testing.T, *harness.Node, *table)
}

var sections = []section{
	{"containerd", []figure{
		{"run", ctrRun}, {"phases", phases}, {"start", startToGuest}, {"compile", compile},
		{"rate", rate}, {"output", gigabyte}, {"copy", copyFile}, {"memory", memory},
	}},
	{"docker", []figure{{"run", dockerRun}, {"parts", dockerParts}, {"compose", composeUp}, {"requests", requests}}},
	{"cluster", []figure{{"pods", onCluster}}},
}

// TestFigures measures everything. With -run TestFigures/SECTION it is one of the
// tables, and with -run TestFigures/SECTION/NAME a part of one, which is not written.
func TestFigures(t *testing.T) {
	node := harness.Shared(t)
	for _, s := range sections {
		t.Run(s.name, func(t *testing.T) {
			var figures table
			block := newBlock(t, s.name)
			ran := 0
			for _, f := range s.figures {
				t.Run(f.name, func(t *testing.T) {
					f.measure(t, node, &figures)
					ran++
				})
			}
			if *output && ran == len(s.figures) && !t.Failed() {
				block.write(t, conditions(figures.with)+"\n"+figures.String())
			}
		})
	}
}

// hello is a container that says hello.
type hello struct {
	name string
	ctr  []string // arguments of ctr run before the id
	argv []string
	make func(*harness.Node, testing.TB) *harness.Container
}

// hellos has runc's first.
func hellos() []hello {
	list := []hello{{
		name: "runc",
		ctr:  []string{"--runtime", harness.RuncRuntime, harness.Busybox},
		argv: []string{"echo", "hello"},
		make: func(n *harness.Node, t testing.TB) *harness.Container { return n.Linux(t, "echo", "hello") },
	}}
	for guest, name := range map[string]string{"hello-c": "C, 3 kB", "hello-rust": "Rust, 95 kB", "hello-go": "Go, 2.5 MB"} {
		list = append(list, hello{
			name: name,
			ctr:  []string{"--runtime", harness.Runtime, "--platform", "wasi/wasm", harness.Guests},
			argv: []string{"/" + guest + ".wasm"},
			make: func(n *harness.Node, t testing.TB) *harness.Container { return n.Guest(t, guest) },
		})
	}
	return list
}

// ctrRun is "ctr run --rm" of a hello. The client's own time, which is taken
// off, is that of a ctr that asks containerd for its version.
func ctrRun(t *testing.T, node *harness.Node, figures *table) {
	list := hellos()
	times := make([][]time.Duration, len(list))
	var client []time.Duration
	for round := -1; round < *rounds; round++ {
		begin := time.Now()
		node.Ctr(t, "version").Exits(0)
		if round >= 0 {
			client = append(client, time.Since(begin))
		} else {
			for _, h := range list {
				h.make(node, t).Run().Exits(0) // imports the image
			}
		}
		for i, h := range list {
			args := append([]string{"run", "--rm"}, h.ctr...)
			args = append(args, "run-"+strconv.Itoa(round+1)+"-"+strconv.Itoa(i))
			begin := time.Now()
			node.Ctr(t, append(args, h.argv...)...).Exits(0)
			if round >= 0 { // the first one fills the cache
				times[i] = append(times[i], time.Since(begin))
			}
		}
	}
	own := median(client)
	runc := median(times[0]) - own
	for i, h := range list[1:] {
		figures.beside("`ctr run --rm` of hello ("+h.name+"), less the client's own time", median(times[i+1])-own, runc, "0.33, under 0.50")
	}
}

// phases times each call of a container's life by itself, as containerd's
// client sees it.
func phases(t *testing.T, node *harness.Node, figures *table) {
	list := hellos()
	names := []string{"Create", "Start", "Delete"}
	times := make([][3][]time.Duration, len(list))
	for round := -1; round < *rounds; round++ {
		for i, h := range list {
			c := h.make(node, t)
			var took [3]time.Duration
			begin := time.Now()
			task := c.Create()
			took[0], begin = time.Since(begin), time.Now()
			task.Start()
			took[1] = time.Since(begin)
			task.Wait()
			begin = time.Now()
			task.Delete()
			took[2] = time.Since(begin)
			for phase := range took {
				if round >= 0 {
					times[i][phase] = append(times[i][phase], took[phase])
				}
			}
		}
	}
	for phase, name := range names {
		runc := median(times[0][phase])
		for i, h := range list[1:] {
			figures.beside(name+" ("+h.name+")", median(times[i+1][phase]), runc, "")
		}
	}
}

// rate is how many hellos a second run from Create to Delete, three times in turns.
func rate(t *testing.T, node *harness.Node, figures *table) {
	list := []hello{hellos()[0], {make: func(n *harness.Node, t testing.TB) *harness.Container { return n.Guest(t, "hello-c") }}}
	for _, atOnce := range []int{1, 2, 8} {
		var rates [2][]float64
		for range 3 {
			for i, h := range list {
				h.make(node, t).Run().Exits(0)
				rates[i] = append(rates[i], perSecond(*rounds+8, atOnce, func() { h.make(node, t).Run() }))
			}
		}
		ours, runc := median(rates[1]), median(rates[0])
		fmt.Printf("%d at a time: %.1f containers per second, runc %.1f\n", atOnce, ours, runc)
		figures.row("Containers per second, "+strconv.Itoa(atOnce)+" at a time (C)", "", fmt.Sprintf("%.2f", ours/runc), "")
	}
}

func perSecond(count, atOnce int, run func()) float64 {
	var all sync.WaitGroup
	turns := make(chan struct{}, count)
	for range count {
		turns <- struct{}{}
	}
	close(turns)
	begin := time.Now()
	for range atOnce {
		all.Go(func() {
			for range turns {
				run()
			}
		})
	}
	all.Wait()
	return float64(count) / time.Since(begin).Seconds()
}

// cacheFolder is where the node's compile cache is, in the room.
const cacheFolder = "/var/lib/containerd-shim-wazero"

// compile is Create of a module that the node has not seen, and of one it has.
func compile(t *testing.T, node *harness.Node, figures *table) {
	for _, h := range hellos()[1:] {
		var first, cached []time.Duration
		for range max(3, *rounds/5) {
			if err := os.RemoveAll(cacheFolder); err != nil {
				t.Fatal(err)
			}
			for _, times := range []*[]time.Duration{&first, &cached} {
				begin := time.Now()
				h.make(node, t).Run().Exits(0)
				*times = append(*times, time.Since(begin))
			}
		}
		figures.beside("First run of a module, compiled, beside a run from the cache ("+h.name+")", median(first), median(cached), "")
	}
}

// gigabyte is 1 GiB of output in blocks of 64 KiB to a reader that drops it.
func gigabyte(t *testing.T, node *harness.Node, figures *table) {
	var times [2][]time.Duration
	for range 3 {
		for i, c := range []*harness.Container{
			node.Linux(t, "dd", "if=/dev/zero", "bs=64k", "count=16384"),
			node.Guest(t, "flood"),
		} {
			task := c.Stdout(new(nowhere)).Create()
			begin := time.Now()
			task.Start()
			task.Wait().Exits(0)
			times[i] = append(times[i], time.Since(begin))
			task.Delete()
		}
	}
	figures.beside("1 GiB of stdout, `dd` beside a guest's writes of 64 KiB", median(times[1]), median(times[0]), "")
}

// copyFile is the copying of a file of 1 GiB by reads and writes of 64 KiB, by
// one Go program for both.
func copyFile(t *testing.T, node *harness.Node, figures *table) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "from"))
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("a line of text\n"), 1<<16)
	for size := 0; size < 1<<30; size += len(block) {
		if _, err := file.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	var times [2][]time.Duration
	for range 5 {
		for i, c := range []*harness.Container{
			node.Linux(t, "/copy", "/data/from", "/data/to").Bind(harness.Built(t, "guests", "copy-linux"), "/copy", "ro"),
			node.Guest(t, "copy-go", "/data/from", "/data/to"),
		} {
			task := c.Bind(dir, "/data").Create()
			begin := time.Now()
			task.Start()
			task.Wait().Exits(0)
			times[i] = append(times[i], time.Since(begin))
			task.Delete()
			if err := os.Remove(filepath.Join(dir, "to")); err != nil {
				t.Fatal(err)
			}
		}
	}
	figures.beside("A file of 1 GiB copied, beside the same Go program on Linux", median(times[1]), median(times[0]), "1.3")
}

// nowhere is a writer that only Write is known of, for the copy's own buffer.
type nowhere struct{}

func (*nowhere) Write(p []byte) (int, error) { return len(p), nil }
