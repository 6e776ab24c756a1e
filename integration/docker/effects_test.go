// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package docker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"containerd-shim-wazero/integration/docker/engine"
	"containerd-shim-wazero/integration/room"
)

// observed is what the kernel shows of a container's process.
type observed struct {
	t   *testing.T
	pid int
}

// effect is what options of docker do to a container's process.
type effect struct {
	options string
	what    string
	see     func(observed) string
	want    string
}

// effects are those of docker run, as for Linux.
var effects = []effect{
	{"-m 64m", "memory", cgroup("memory", "memory.limit_in_bytes", "memory.max"), "67108864"},
	{"-m 64m --memory-reservation 32m", "memory reservation", cgroup("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432"},
	{"-m 64m --memory-swap 128m", "memory and swap", cgroup("memory", "memory.memsw.limit_in_bytes", ""), "134217728"},
	{"--memory-swappiness 10", "swappiness", cgroup("memory", "memory.swappiness", ""), "10"},
	{"-m 64m --oom-kill-disable", "no killer", line(cgroup("memory", "memory.oom_control", ""), "oom_kill_disable 1"), "oom_kill_disable 1"},
	{"--cpu-rt-period 500000", "realtime period", cgroup("cpu", "cpu.rt_period_us", ""), "500000"},
	{"--cpuset-mems 0", "memory nodes", cgroup("cpuset", "cpuset.mems", "cpuset.mems"), "0"},
	{"--cpus 0.5", "processor time", cgroup("cpu", "cpu.cfs_quota_us", ""), "50000"},
	{"--cpu-period 50000 --cpu-quota 10000", "period", cgroup("cpu", "cpu.cfs_period_us", ""), "50000"},
	{"--cpu-shares 512", "shares", cgroup("cpu", "cpu.shares", ""), "512"},
	{"--cpuset-cpus 0", "processors", cgroup("cpuset", "cpuset.cpus", "cpuset.cpus"), "0"},
	{"--pids-limit 100", "pids", cgroup("pids", "pids.max", "pids.max"), "100"},
	{"--ulimit nofile=1000:2000", "open files", proc("limits", "Max open files"), "1000 2000 files"},
	{"--ulimit core=0", "core files", proc("limits", "Max core file size"), "0 0 bytes"},
	{"--oom-score-adj 500", "score", proc("oom_score_adj", ""), "500"},
	{"-u 1000:1000 --group-add 2000", "groups", proc("status", "Groups:"), "1000 2000"},
	{"-u 1000", "user", proc("status", "Uid:"), "1000 1000 1000 1000"},
	{"--cap-drop ALL --cap-add NET_BIND_SERVICE", "capabilities", proc("status", "CapEff:"), "0000000000000400"},
	{"--cap-drop ALL", "no capabilities", proc("status", "CapEff:"), "0000000000000000"},
	{"--security-opt no-new-privileges", "no new privileges", proc("status", "NoNewPrivs:"), "1"},
	{"", "seccomp", proc("status", "Seccomp:"), "2"},
	{"--pid host", "pid namespace", shared("pid"), "the host's"},
	{"--ipc host", "ipc namespace", shared("ipc"), "the host's"},
	{"--uts host", "uts namespace", shared("uts"), "the host's"},
	{"--network host", "network namespace", shared("net"), "the host's"},
	{"--cgroupns host", "cgroup namespace", shared("cgroup"), "the host's"},
	{"--cgroupns private", "own cgroup namespace", shared("cgroup"), "its own"},
	// Whose it would be otherwise is in TestUsernsRemap.
	{"--userns host", "user namespace", shared("user"), "the host's"},
	{"--ipc private", "own ipc namespace", shared("ipc"), "its own"},
	{"", "own pid namespace", shared("pid"), "its own"},
	{"--network none", "own network namespace", shared("net"), "its own"},
	{"--shm-size 2m", "/dev/shm", mountOption("/dev/shm"), "size=2048k"},
	{"--read-only", "the root", mountOption("/"), "ro"},
	{"--sysctl net.ipv4.ip_unprivileged_port_start=1234", "sysctl", sysctl("net/ipv4/ip_unprivileged_port_start"), "1234"},
	{"", "port 80 for everybody", sysctl("net/ipv4/ip_unprivileged_port_start"), "0"},
	{"--cgroup-parent /" + "$ROOM" + "-parent", "parent", cgroupPath, "-parent/"},
}

// TestEffects: each option has the same effect on both runtimes.
func TestEffects(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	for _, effect := range effects {
		t.Run(effect.what, func(t *testing.T) {
			for _, kind := range []string{"wasm", "linux"} {
				options := strings.ReplaceAll(effect.options, "$ROOM", room.Name())
				name := box(t, e, "effects-"+kind, kind, options, "sleep", "600000")
				got := effect.see(observed{t, pid(t, e, name)})
				if got != effect.want && !(strings.HasSuffix(effect.want, "/") && strings.Contains(got, effect.want)) {
					t.Errorf("%s, docker run %s: %q, want %q", kind, options, got, effect.want)
				}
				e.Docker(t, "rm", "-f", name).Exits(0)
			}
		})
	}
}

// cgroup reads a file of the container's cgroup, by its name in version 1 and 2.
func cgroup(controller, v1, v2 string) func(observed) string {
	return func(o observed) string {
		file := filepath.Join("/sys/fs/cgroup", controller, o.group(controller), v1)
		if v2 == "" {
			onlyV1(o.t)
		}
		if unified() {
			file = filepath.Join("/sys/fs/cgroup", o.group(""), v2)
		}
		return o.read(file)
	}
}

func cgroupPath(o observed) string { return o.group("memory") }

// group is the process's cgroup in a controller's hierarchy, "" for version 2.
func (o observed) group(controller string) string {
	for _, line := range strings.Split(o.read(fmt.Sprintf("/proc/%d/cgroup", o.pid)), "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) == 3 && strings.Contains(","+fields[1]+",", ","+controller+",") {
			return fields[2]
		}
	}
	o.t.Fatalf("no cgroup of %q", controller)
	return ""
}

func (o observed) read(file string) string {
	o.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		o.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// proc reads a file of the process in /proc, or the rest of the line that begins so.
func proc(file, line string) func(observed) string {
	return func(o observed) string {
		for text := range strings.SplitSeq(o.read(fmt.Sprintf("/proc/%d/%s", o.pid, file)), "\n") {
			if rest, is := strings.CutPrefix(text, line); is {
				return strings.Join(strings.Fields(rest), " ")
			}
		}
		return "no line"
	}
}

// shared tells whose a namespace is.
func shared(kind string) func(observed) string {
	return func(o observed) string {
		own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", o.pid, kind))
		if err != nil {
			o.t.Fatal(err)
		}
		if host, _ := os.Readlink("/proc/self/ns/" + kind); own == host {
			return "the host's"
		}
		return "its own"
	}
}

// mountOption is the first of "ro" and "size=" among a mount's options.
func mountOption(target string) func(observed) string {
	return func(o observed) string {
		for line := range strings.SplitSeq(o.read(fmt.Sprintf("/proc/%d/mountinfo", o.pid)), "\n") {
			fields := strings.Fields(line)
			if fields[4] != target {
				continue
			}
			for _, option := range strings.Split(fields[5]+","+fields[len(fields)-1], ",") {
				if option == "ro" || strings.HasPrefix(option, "size=") {
					return option
				}
			}
		}
		return "no such option"
	}
}

// sysctl reads a parameter of the container's network namespace.
func sysctl(name string) func(observed) string {
	return func(o observed) string {
		out, err := exec.Command("nsenter", "-t", fmt.Sprint(o.pid), "-n", "cat", "/proc/sys/"+name).CombinedOutput()
		if err != nil {
			o.t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

// TestPrivileged: more of the machine is open to the container; what a call of WASI
// has no use for is still not there, and the filter stays.
func TestPrivileged(t *testing.T) {
	e := engine.Shared(t)
	e.LoadAll(t)
	name := box(t, e, "effects-privileged", "wasm", "--privileged --security-opt seccomp=unconfined", "stat", "/dev/kmsg", ",", "sleep", "600000")
	o := observed{t, pid(t, e, name)}
	if got := proc("status", "Seccomp:")(o); got != "2" {
		t.Errorf("seccomp is %s, want 2", got)
	}
	if got := proc("status", "CapEff:")(o); got != "000000000000041e" {
		t.Errorf("the capabilities are %s", got)
	}
	if log := e.Docker(t, "logs", name); !strings.Contains(log.Stdout, "/dev/kmsg character device") {
		t.Errorf("the guest does not see the device: %q %q", log.Stdout, log.Stderr)
	}
	e.Docker(t, "rm", "-f", name).Exits(0)
}
