// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	allow = unix.SECCOMP_RET_ALLOW
	kill  = unix.SECCOMP_RET_KILL_PROCESS
)

func errno(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

// run is what the kernel does with a program for one call.
func run(t *testing.T, p Program, arch, nr uint32, callArgs ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data[offNr:], nr)
	binary.LittleEndian.PutUint32(data[offArch:], arch)
	for i, a := range callArgs {
		binary.LittleEndian.PutUint64(data[offArgs+8*i:], a)
	}
	var acc uint32
	for pc := 0; pc < len(p)/instruction; pc++ {
		in := p[pc*instruction:]
		k := binary.LittleEndian.Uint32(in[4:])
		skip := func(yes bool) {
			if yes {
				pc += int(in[2])
			} else {
				pc += int(in[3])
			}
		}
		switch code := binary.LittleEndian.Uint16(in); code {
		case loadWord:
			acc = binary.LittleEndian.Uint32(data[k:])
		case jumpEqual:
			skip(acc == k)
		case jumpNotBelow:
			skip(acc >= k)
		case jumpAlways:
			pc += int(k)
		case ret:
			return k
		default:
			t.Fatalf("instruction %d has code %#x", pc, code)
		}
	}
	t.Fatal("the program does not end")
	return 0
}

func build(t testing.TB, p *specs.LinuxSeccomp) Program {
	t.Helper()
	program, err := Build(p)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func TestOwnList(t *testing.T) {
	p := build(t, nil)
	for _, tt := range []struct {
		name string
		nr   uint32
		args []uint64
		want uint32
	}{
		{"read", unix.SYS_READ, nil, allow},
		{"futex", unix.SYS_FUTEX, nil, allow},
		{"a thread", unix.SYS_CLONE, []uint64{threadFlags}, allow},
		{"a process", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, errno(unix.EPERM)},
		{"a vfork", unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_VFORK}, errno(unix.EPERM)},
		{"a thread in a user namespace", unix.SYS_CLONE, []uint64{threadFlags | unix.CLONE_NEWUSER}, errno(unix.EPERM)},
		{"clone3", unix.SYS_CLONE3, nil, errno(unix.ENOSYS)},
		{"mmap rw", unix.SYS_MMAP, []uint64{0, 4096, 3}, allow},
		{"mmap x", unix.SYS_MMAP, []uint64{0, 4096, 4}, errno(unix.EPERM)},
		{"mmap rx", unix.SYS_MMAP, []uint64{0, 4096, 5}, errno(unix.EPERM)},
		{"mmap with a high bit", unix.SYS_MMAP, []uint64{0, 4096, 1 << 32}, errno(unix.EPERM)},
		{"mprotect rw", unix.SYS_MPROTECT, []uint64{0, 4096, 3}, allow},
		{"mprotect rwx", unix.SYS_MPROTECT, []uint64{0, 4096, 7}, errno(unix.EPERM)},
		{"pkey_mprotect", unix.SYS_PKEY_MPROTECT, []uint64{0, 4096, 3}, kill},
		{"socket tcp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0}, allow},
		{"socket udp6", unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}, allow},
		{"socket unix", unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, allow},
		{"socket raw", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_RAW, 0}, errno(unix.EPERM)},
		{"socket icmp", unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, errno(unix.EPERM)},
		{"socket netlink", unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_RAW, 0}, errno(unix.EPERM)},
		{"socket vsock", unix.SYS_SOCKET, []uint64{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, errno(unix.EPERM)},
		{"socket packet", unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_RAW, 0}, errno(unix.EPERM)},
		{"setsockopt nodelay", unix.SYS_SETSOCKOPT, []uint64{3, unix.IPPROTO_TCP, unix.TCP_NODELAY}, allow},
		{"setsockopt filter", unix.SYS_SETSOCKOPT, []uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, errno(unix.EPERM)},
		{"setsockopt ulp", unix.SYS_SETSOCKOPT, []uint64{3, unix.IPPROTO_TCP, unix.TCP_ULP}, errno(unix.EPERM)},
		{"ioctl tcgets", unix.SYS_IOCTL, []uint64{3, unix.TCGETS}, allow},
		{"ioctl tiocsti", unix.SYS_IOCTL, []uint64{3, unix.TIOCSTI}, errno(unix.EPERM)},
		{"ioctl tioclinux", unix.SYS_IOCTL, []uint64{3, unix.TIOCLINUX}, errno(unix.EPERM)},
		{"fcntl setfl", unix.SYS_FCNTL, []uint64{3, unix.F_SETFL}, allow},
		{"fcntl setsig", unix.SYS_FCNTL, []uint64{3, unix.F_SETSIG}, errno(unix.EPERM)},
		{"prctl name", unix.SYS_PRCTL, []uint64{unix.PR_SET_NAME}, allow},
		{"prctl dumpable", unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE, 1}, errno(unix.EPERM)},
		{"prlimit of another", unix.SYS_PRLIMIT64, []uint64{1}, errno(unix.EPERM)},
		{"setuid", unix.SYS_SETUID, nil, errno(unix.EPERM)},
		{"execve", unix.SYS_EXECVE, nil, kill},
		{"bpf", unix.SYS_BPF, nil, kill},
		{"a number of the future", 4000, nil, errno(unix.EPERM)},
	} {
		if got := run(t, p, auditArch, tt.nr, tt.args...); got != tt.want {
			t.Errorf("%s: action %#x, want %#x", tt.name, got, tt.want)
		}
	}
	for _, nr := range append(never[:], neverHere[:]...) {
		if got := run(t, p, auditArch, nr); got != kill {
			t.Errorf("call %d: action %#x, want kill", nr, got)
		}
	}
	for _, arch := range []uint32{0, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_X86_64 ^ unix.AUDIT_ARCH_AARCH64 ^ auditArch} {
		if got := run(t, p, arch, unix.SYS_READ); got != kill {
			t.Errorf("architecture %#x: action %#x, want kill", arch, got)
		}
	}
	if firstForeign != 0 {
		if got := run(t, p, auditArch, firstForeign|unix.SYS_READ); got != kill {
			t.Errorf("x32: action %#x, want kill", got)
		}
	}
}

// TestListIsShortAndNamedOnce keeps the promise of at most 90 calls.
func TestListIsShortAndNamedOnce(t *testing.T) {
	if n := len(Names()); n > 90 {
		t.Errorf("%d system calls are allowed, the promise is 90", n)
	}
	seen := make(map[uint32]string)
	for _, c := range append(append([]call{}, conditional[:]...), unconditional[:]...) {
		if other, ok := seen[c.nr]; ok {
			t.Errorf("%s and %s have one number", c.name, other)
		}
		seen[c.nr] = c.name
	}
	for _, nr := range append(never[:], neverHere[:]...) {
		if name, ok := seen[nr]; ok {
			t.Errorf("%s is both allowed and killed", name)
		}
	}
}

func testdata(t testing.TB, name string) *specs.LinuxSeccomp {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	p := new(specs.LinuxSeccomp)
	if err := json.Unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWellKnownProfilesKeepTheWholeList: under Docker's and containerd's
// default profiles nothing that the sandbox needs is lost.
func TestWellKnownProfilesKeepTheWholeList(t *testing.T) {
	for _, name := range []string{"docker.json", "containerd.json"} {
		t.Run(name, func(t *testing.T) {
			v, err := intersect(testdata(t, name))
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range v.conditional {
				if len(c.cases) != len(conditional[i].cases) {
					t.Errorf("%s keeps %d of %d cases", conditional[i].name, len(c.cases), len(conditional[i].cases))
				}
			}
			if len(v.allowed) != len(unconditional) {
				t.Errorf("%d of %d calls are kept: %v", len(v.allowed), len(unconditional), v.others)
			}
		})
	}
}

func rules(byDefault specs.LinuxSeccompAction, s ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: byDefault, Syscalls: s}
}

func on(a specs.LinuxSeccompAction, name string, conditions ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: []string{name}, Action: a, Args: conditions}
}

// everything is a rule for all names on the list but those.
func everything(a specs.LinuxSeccompAction, but ...string) specs.LinuxSyscall {
	s := specs.LinuxSyscall{Action: a}
	for _, name := range Names() {
		if !strings.Contains(" "+strings.Join(but, " ")+" ", " "+name+" ") {
			s.Names = append(s.Names, name)
		}
	}
	return s
}

func TestIntersection(t *testing.T) {
	nosys, big := uint(unix.ENOSYS), uint(4096)
	eq := func(i uint, v uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: i, Value: v, Op: specs.OpEqualTo}
	}
	tcp := []uint64{unix.AF_INET, unix.SOCK_STREAM, 0}
	uds := []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}
	type check struct {
		nr   uint32
		args []uint64
		want uint32
	}
	for _, tt := range []struct {
		name    string
		profile *specs.LinuxSeccomp
		checks  []check
		refused string
	}{
		{"unconfined", rules(specs.ActAllow), []check{{unix.SYS_READ, nil, allow}, {unix.SYS_EXECVE, nil, kill}}, ""},
		{"logged", rules(specs.ActLog), []check{{unix.SYS_READ, nil, unix.SECCOMP_RET_LOG}, {unix.SYS_SOCKET, tcp, unix.SECCOMP_RET_LOG}, {unix.SYS_SETUID, nil, errno(unix.EPERM)}}, ""},
		{"one call denied", rules(specs.ActAllow, on(specs.ActErrno, "mkdirat")),
			[]check{{unix.SYS_MKDIRAT, nil, errno(unix.EPERM)}, {unix.SYS_UNLINKAT, nil, allow}}, ""},
		{"one call denied with its own error", rules(specs.ActAllow, specs.LinuxSyscall{Names: []string{"mkdirat"}, Action: specs.ActErrno, ErrnoRet: &nosys}),
			[]check{{unix.SYS_MKDIRAT, nil, errno(unix.ENOSYS)}}, ""},
		{"one call killed", rules(specs.ActAllow, on(specs.ActKill, "mkdirat")), []check{{unix.SYS_MKDIRAT, nil, kill}}, ""},
		{"one call trapped", rules(specs.ActAllow, on(specs.ActTrap, "mkdirat")), []check{{unix.SYS_MKDIRAT, nil, kill}}, ""},
		{"one call traced", rules(specs.ActAllow, on(specs.ActTrace, "mkdirat")), []check{{unix.SYS_MKDIRAT, nil, errno(unix.ENOSYS)}}, ""},
		{"killing by default", rules(specs.ActKillProcess, everything(specs.ActAllow)),
			[]check{{unix.SYS_READ, nil, allow}, {unix.SYS_SETUID, nil, kill}, {4000, nil, kill}, {unix.SYS_CLONE3, nil, kill}}, ""},
		{"no network", rules(specs.ActErrno, everything(specs.ActAllow, "socket")),
			[]check{{unix.SYS_SOCKET, tcp, errno(unix.EPERM)}, {unix.SYS_SOCKET, uds, errno(unix.EPERM)}}, ""},
		{"unix sockets alone", rules(specs.ActErrno, everything(specs.ActAllow, "socket"), on(specs.ActAllow, "socket", eq(0, unix.AF_UNIX))),
			[]check{{unix.SYS_SOCKET, tcp, errno(unix.EPERM)}, {unix.SYS_SOCKET, uds, allow}}, ""},
		{"no IPv6, by a mask", rules(specs.ActAllow, on(specs.ActErrno, "socket", specs.LinuxSeccompArg{Index: 0, Value: 0xff, ValueTwo: unix.AF_INET6, Op: specs.OpMaskedEqual})),
			[]check{{unix.SYS_SOCKET, tcp, allow}, {unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, 0}, errno(unix.EPERM)}}, ""},
		{"an argument that the list leaves open", rules(specs.ActErrno, everything(specs.ActAllow, "write", "listen"), on(specs.ActAllow, "write"), on(specs.ActAllow, "listen", eq(1, 5))),
			[]check{{unix.SYS_LISTEN, []uint64{3, 5}, errno(unix.EPERM)}}, ""},
		{"a denial that might match", rules(specs.ActAllow, on(specs.ActErrno, "listen", specs.LinuxSeccompArg{Index: 1, Value: 100, Op: specs.OpGreaterThan})),
			[]check{{unix.SYS_LISTEN, []uint64{3, 5}, errno(unix.EPERM)}}, ""},
		{"a denial that cannot match", rules(specs.ActAllow, on(specs.ActKillProcess, "mmap", specs.LinuxSeccompArg{Index: 2, Value: unix.PROT_EXEC, ValueTwo: unix.PROT_EXEC, Op: specs.OpMaskedEqual})),
			[]check{{unix.SYS_MMAP, []uint64{0, 1, 3}, allow}, {unix.SYS_MMAP, []uint64{0, 1, 7}, kill}}, ""},
		{"two conditions on one argument are alternatives", rules(specs.ActErrno, everything(specs.ActAllow, "socket"), on(specs.ActAllow, "socket", eq(0, unix.AF_UNIX), eq(0, unix.AF_INET))),
			[]check{{unix.SYS_SOCKET, tcp, allow}, {unix.SYS_SOCKET, uds, allow}, {unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, 0}, errno(unix.EPERM)}}, ""},
		{"threads by the default profile's mask", rules(specs.ActErrno, everything(specs.ActAllow, "clone"), on(specs.ActAllow, "clone", specs.LinuxSeccompArg{Index: 0, Value: 2114060288, Op: specs.OpMaskedEqual})),
			[]check{{unix.SYS_CLONE, []uint64{threadFlags}, allow}}, ""},
		{"a call that Wasm never makes", rules(specs.ActAllow, on(specs.ActErrno, "swapoff"), on(specs.ActErrno, "no_such_call")), []check{{unix.SYS_READ, nil, allow}}, ""},

		{"futex denied", rules(specs.ActAllow, on(specs.ActErrno, "futex")), nil, "needs: futex:"},
		{"futex and threads denied", rules(specs.ActErrno, everything(specs.ActAllow, "futex", "clone")), nil, "needs: clone, futex:"},
		{"everything denied", rules(specs.ActErrno), nil, "needs: mmap, clone, futex"},
		{"no threads by condition", rules(specs.ActAllow, on(specs.ActErrno, "clone", specs.LinuxSeccompArg{Index: 0, Value: unix.CLONE_THREAD, ValueTwo: unix.CLONE_THREAD, Op: specs.OpMaskedEqual})), nil, "needs: clone:"},
		{"notify", rules(specs.ActAllow, on(specs.ActNotify, "mkdirat")), nil, "syscalls[0] (mkdirat): SCMP_ACT_NOTIFY"},
		{"notify by default", rules(specs.ActNotify), nil, "defaultAction: SCMP_ACT_NOTIFY"},
		{"an action of another world", rules("SCMP_ACT_DANCE"), nil, `action "SCMP_ACT_DANCE"`},
		{"no action", rules(""), nil, `action ""`},
		{"an operator of another world", rules(specs.ActAllow, on(specs.ActErrno, "mkdirat", specs.LinuxSeccompArg{Op: "SCMP_CMP_ISH"})), nil, `operator "SCMP_CMP_ISH"`},
		{"a seventh argument", rules(specs.ActAllow, on(specs.ActErrno, "mkdirat", eq(6, 1))), nil, "argument 6"},
		{"a flag of another world", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_X"}}, nil, "SECCOMP_FILTER_FLAG_X"},
		{"an errno too large", rules(specs.ActAllow, specs.LinuxSyscall{Names: []string{"mkdirat"}, Action: specs.ActErrno, ErrnoRet: &big}), nil, "errnoRet 4096"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Build(tt.profile)
			if tt.refused != "" {
				if err == nil || !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), tt.refused) {
					t.Fatalf("Build: %v, want a refusal with %q", err, tt.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range tt.checks {
				if got := run(t, p, auditArch, c.nr, c.args...); got != c.want {
					t.Errorf("call %d %v: action %#x, want %#x", c.nr, c.args, got, c.want)
				}
			}
		})
	}
}

func TestOwnSignals(t *testing.T) {
	prefix, err := ownSignals(77)
	if err != nil {
		t.Fatal(err)
	}
	p := append(prefix, build(t, nil)...)
	group := uint64(1<<64 - 77)
	for _, tt := range []struct {
		nr   uint32
		args []uint64
		want uint32
	}{
		{unix.SYS_TGKILL, []uint64{77, 78, 23}, allow},
		{unix.SYS_TGKILL, []uint64{1, 1, 9}, errno(unix.EPERM)},
		{unix.SYS_KILL, []uint64{77, 9}, allow},
		{unix.SYS_KILL, []uint64{1, 9}, errno(unix.EPERM)},
		{unix.SYS_KILL, []uint64{0, 9}, errno(unix.EPERM)},
		{unix.SYS_KILL, []uint64{group, 9}, errno(unix.EPERM)},
		{unix.SYS_READ, []uint64{1}, allow},
		{unix.SYS_EXECVE, []uint64{77}, kill},
	} {
		if got := run(t, p, auditArch, tt.nr, tt.args...); got != tt.want {
			t.Errorf("call %d %v: action %#x, want %#x", tt.nr, tt.args, got, tt.want)
		}
	}
}

func TestEqualProfilesShareOneProgram(t *testing.T) {
	a := build(t, testdata(t, "docker.json"))
	b := build(t, testdata(t, "docker.json"))
	if &a[0] != &b[0] {
		t.Error("an equal profile was assembled again")
	}
	if c := build(t, nil); fmt.Sprint(c) == fmt.Sprint(build(t, rules(specs.ActLog))) {
		t.Error("another profile got the same program")
	}
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],"flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"names":["mmap","clone","futex","mkdirat"],"action":"SCMP_ACT_ALLOW"}]}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["clone"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":268435456,"valueTwo":268435456,"op":"SCMP_CMP_MASKED_EQ"}]}]}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[{"index":5,"op":"SCMP_CMP_NE"}]}]}`))
	own, err := Build(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p specs.LinuxSeccomp
		if json.Unmarshal(b, &p) != nil {
			return
		}
		program, err := Build(&p)
		if err != nil {
			return
		}
		// Whatever the profile, the filter is no looser than the sandbox's own.
		for i := range conditional {
			nr := conditional[i].nr
			if allows(run(t, program, auditArch, nr, 2, 1)) && !allows(run(t, own, auditArch, nr, 2, 1)) {
				t.Fatalf("%s is allowed by the profile alone", conditional[i].name)
			}
		}
		for _, nr := range never {
			if run(t, program, auditArch, nr) != kill {
				t.Fatalf("call %d is not killed", nr)
			}
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	for _, name := range []string{"none", "docker.json"} {
		b.Run(name, func(b *testing.B) {
			var p *specs.LinuxSeccomp
			if name != "none" {
				p = testdata(b, name)
			}
			b.ReportAllocs()
			for b.Loop() {
				last.program = nil
				if _, err := Build(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
