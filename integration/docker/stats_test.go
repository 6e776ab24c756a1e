// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/harness"
	"containerd-shim-wazero/integration/room"
)

// TestStats: docker's figures are within a tenth of the kernel's.
func TestStats(t *testing.T) {
	onlyV1(t)
	e := engine.Shared(t)
	e.LoadAll(t)
	t.Run("memory and processes", func(t *testing.T) { statsOfMemory(t, e) })
	t.Run("processor", func(t *testing.T) { statsOfProcessor(t, e) })
	t.Run("network", func(t *testing.T) { statsOfNetwork(t, e) })
	t.Run("disk", func(t *testing.T) { statsOfDisk(t, e) })
}

func statsOfMemory(t *testing.T, e *engine.Engine) {
	name := box(t, e, "stats", "wasm", "-m 256m", "swallow", "50", ",", "echo", "full", ",", "sleep", "1000000")
	defer e.Docker(t, "rm", "-f", name)
	harness.Eventually(t, "the guest has its memory", func() bool { return e.Ask(t, "logs", name) != "" })
	o := observed{t, pid(t, e, name)}
	settled(t, e, name, "{{.MemUsage}} {{.PIDs}}", func() []float64 {
		used := o.number("memory", "memory.usage_in_bytes", "") - o.number("memory", "memory.stat", "total_inactive_file ")
		if used < 50<<20 {
			t.Fatalf("the kernel counts %.0f bytes", used)
		}
		return []float64{used, 256 << 20, o.number("pids", "pids.current", "")}
	})
}

// statsOfProcessor holds a spinning guest to half a processor, which keeps its
// share even: docker's two samples are not taken when the test's are.
func statsOfProcessor(t *testing.T, e *engine.Engine) {
	name := box(t, e, "stats", "wasm", "--cpus 0.5", "spin")
	defer e.Docker(t, "rm", "-f", name)
	o := observed{t, pid(t, e, name)}
	var ratios []float64
	for range 5 {
		used, began := o.number("cpuacct", "cpuacct.usage", ""), time.Now()
		said := stats(t, e, name, "{{.CPUPerc}}")[0]
		share := (o.number("cpuacct", "cpuacct.usage", "") - used) / float64(time.Since(began)) * 100
		ratios = append(ratios, said/share)
	}
	slices.Sort(ratios)
	t.Logf("docker's share of the processor beside the kernel's: %.2f", ratios)
	if !near(ratios[2], 1) {
		t.Errorf("docker's share beside the kernel's, the median: %.2f", ratios[2])
	}
}

func statsOfNetwork(t *testing.T, e *engine.Engine) {
	const size, times = 50_000, 20
	listens(t, e, "stats", "-p 18320:7000", "0.0.0.0:7000")
	defer e.Docker(t, "rm", "-f", "stats")
	for range times {
		if err := echo("tcp", "127.0.0.1:18320", strings.Repeat("x", size)); err != nil {
			t.Fatal(err)
		}
	}
	o := observed{t, pid(t, e, "stats")}
	settled(t, e, "stats", "{{.NetIO}}", func() []float64 {
		fields := strings.Fields(proc("net/dev", "  eth0:")(o))
		received, sent := figure(t, fields[0]), figure(t, fields[8])
		if received < size*times || sent < size*times {
			t.Fatalf("the kernel counts %.0f and %.0f bytes", received, sent)
		}
		return []float64{received, sent}
	})
}

// statsOfDisk has a guest read what is not in the page cache. The kernel counts
// by cgroup once one has a limit; this one does not slow it.
func statsOfDisk(t *testing.T, e *engine.Engine) {
	const size = 8 << 20
	disk := diskOf(t, room.Dir())
	dir := t.TempDir()
	cold(t, filepath.Join(dir, "file"), size)
	name := box(t, e, "stats", "wasm", "--log-driver none --device-read-bps "+disk+":10gb -v "+dir+":/data",
		"cat", "/data/file", ",", "write", "/data/read", "yes", ",", "sleep", "1000000")
	defer e.Docker(t, "rm", "-f", name)
	harness.Eventually(t, "the guest has read the file", func() bool {
		_, err := os.Stat(filepath.Join(dir, "read"))
		return err == nil
	})
	o := observed{t, pid(t, e, name)}
	settled(t, e, name, "{{.BlockIO}}", func() []float64 {
		read, written := o.disk("Read"), o.disk("Write")
		if read < size {
			t.Fatalf("the kernel counts %.0f bytes", read)
		}
		return []float64{read, written}
	})
}

// cold writes a file and has the kernel forget it.
func cold(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Repeat("cold\n", size/5+1)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// diskOf is the device file of the disk that a folder is on.
func diskOf(t *testing.T, dir string) string {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		t.Fatal(err)
	}
	device, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev)))
	if err != nil {
		t.Skipf("%s is on no disk: %v", dir, err)
	}
	if _, err := os.Stat(filepath.Join(device, "partition")); err == nil {
		device = filepath.Dir(device)
	}
	return filepath.Join("/dev", filepath.Base(device))
}

// disk sums up what the kernel counts of one kind, "Read" or "Write".
func (o observed) disk(kind string) (sum float64) {
	file := filepath.Join("/sys/fs/cgroup/blkio", o.group("blkio"), "blkio.throttle.io_service_bytes_recursive")
	for line := range strings.SplitSeq(o.read(file), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 && fields[1] == kind {
			sum += figure(o.t, fields[2])
		}
	}
	return sum
}

// number reads a file of the container's cgroup, or the rest of the line that
// begins so.
func (o observed) number(controller, file, line string) float64 {
	o.t.Helper()
	text := o.read(filepath.Join("/sys/fs/cgroup", controller, o.group(controller), file))
	for l := range strings.SplitSeq(text, "\n") {
		if rest, is := strings.CutPrefix(l, line); is {
			return figure(o.t, rest)
		}
	}
	o.t.Fatalf("no %q in %s", line, file)
	return 0
}

// settled compares what docker stats prints with what the kernel counts, at a
// moment when the kernel's counts are the same before and after.
func settled(t *testing.T, e *engine.Engine, name, format string, kernel func() []float64) {
	t.Helper()
	var said, counted []float64
	harness.Eventually(t, "the kernel's counts rest", func() bool {
		counted = kernel()
		said = stats(t, e, name, format)
		return slices.Equal(counted, kernel())
	})
	t.Logf("%s: docker says %.0f, the kernel %.0f", format, said, counted)
	if !slices.EqualFunc(said, counted, near) {
		t.Errorf("%s: docker says %.0f, the kernel %.0f", format, said, counted)
	}
}

// stats is what docker stats prints, as numbers.
func stats(t *testing.T, e *engine.Engine, name, format string) (all []float64) {
	t.Helper()
	text := strings.ReplaceAll(e.Ask(t, "stats", "--no-stream", "--format", format, name), "/", " ")
	for _, field := range strings.Fields(text) {
		all = append(all, figure(t, field))
	}
	return all
}

// figure is a number with one of docker's units.
func figure(t *testing.T, text string) float64 {
	t.Helper()
	text = strings.TrimSpace(text)
	size := 1.0
	for _, unit := range []struct {
		name string
		size float64
	}{{"%", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if number, is := strings.CutSuffix(text, unit.name); is {
			text, size = number, unit.size
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n * size
}

// near says that two figures are within a tenth of each other.
func near(a, b float64) bool { return a == b || a > 0.9*b && a < 1.1*b }
