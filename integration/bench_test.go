// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/integration/harness"
)

// contender is a hello of one runtime.
type contender struct {
	name string
	make func(*harness.Node, testing.TB) *harness.Container
	ctr  []string // arguments of ctr run, less the id
	argv []string
}

func contenders() []contender {
	list := []contender{{
		name: "runc",
		make: func(n *harness.Node, t testing.TB) *harness.Container { return n.Linux(t, "echo", "hello") },
		ctr:  []string{"--runtime", harness.RuncRuntime, harness.Busybox},
		argv: []string{"echo", "hello"},
	}}
	for _, guest := range []string{"hello-c", "hello-rust", "hello-go"} {
		list = append(list, contender{
			name: guest,
			make: func(n *harness.Node, t testing.TB) *harness.Container { return n.Guest(t, guest) },
			ctr:  []string{"--runtime", harness.Runtime, "--platform", "wasi/wasm", harness.Guests},
			argv: []string{"/" + guest + ".wasm"},
		})
	}
	return list
}

// BenchmarkCtrRun is "ctr run --rm" of a hello; net-ms/op is without the
// client's own time, which "ctr version" stands for.
func BenchmarkCtrRun(b *testing.B) {
	node := harness.Shared(b)
	for _, c := range contenders() {
		b.Run(c.name, func(b *testing.B) {
			c.make(node, b).Run().Exits(0) // imports the image and fills the cache
			var client time.Duration
			for i := 0; b.Loop(); i++ {
				args := append([]string{"run", "--rm"}, c.ctr...)
				args = append(args, "bench-"+strconv.Itoa(i))
				node.Ctr(b, append(args, c.argv...)...).Exits(0)
				b.StopTimer()
				begin := time.Now()
				node.Ctr(b, "version")
				client += time.Since(begin)
				b.StartTimer()
			}
			net := b.Elapsed() - client
			b.ReportMetric(float64(net.Microseconds())/1000/float64(b.N), "net-ms/op")
		})
	}
}

// BenchmarkPhases times each call of a container's life by itself.
func BenchmarkPhases(b *testing.B) {
	node := harness.Shared(b)
	for _, c := range contenders() {
		b.Run(c.name, func(b *testing.B) {
			c.make(node, b).Run().Exits(0)
			var create, start, remove time.Duration
			for b.Loop() {
				begin := time.Now()
				task := c.make(node, b).Create()
				create += time.Since(begin)

				begin = time.Now()
				task.Start()
				task.Wait()
				start += time.Since(begin)

				begin = time.Now()
				task.Delete()
				remove += time.Since(begin)
			}
			for name, total := range map[string]time.Duration{
				"create-ms/op": create, "start-to-exit-ms/op": start, "delete-ms/op": remove,
			} {
				b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), name)
			}
		})
	}
}

// BenchmarkIdleMemory is what an idle container holds, shim and guest
// together: proportional set size in MB per container.
func BenchmarkIdleMemory(b *testing.B) {
	node := harness.Shared(b)
	const containers = 20
	for name, start := range map[string]func() *harness.Task{
		"runc": func() *harness.Task { return node.Linux(b, "sleep", "1000").Start() },
		"box":  func() *harness.Task { return node.Guest(b, "box", "sleep", "1000000").Start() },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := totalPSS(b)
				var tasks []*harness.Task
				for range containers {
					tasks = append(tasks, start())
				}
				held := totalPSS(b) - before
				b.ReportMetric(float64(held)/1024/containers, "PSS-MB/container")
				for _, task := range tasks {
					task.Kill(unix.SIGKILL)
					task.Wait()
					task.Delete()
				}
			}
		})
	}
}

// totalPSS sums the proportional set size of the room's processes but
// containerd and the test, in kB.
func totalPSS(b *testing.B) (total int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == 1 || pid == os.Getpid() || pid == harness.Shared(b).Pid() {
			continue
		}
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(rollup), "\n") {
			var kB int
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kB); n == 1 {
				total += kB
			}
		}
	}
	return total
}
