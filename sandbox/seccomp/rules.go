// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package seccomp

import "golang.org/x/sys/unix"

// call is a system call on the sandbox's own list.
type call struct {
	name string
	nr   uint32
	// vital calls are those without which the Go runtime aborts or hangs: a
	// bundle that denies one cannot be run.
	vital bool
	// cases are the arguments it is used with; none for any. A call passes when
	// one case holds.
	cases []args
}

// args is a conjunction: each listed argument has one of the values.
type args []arg

type arg struct {
	index  uint32
	values []uint64
}

// threadFlags are the clone flags of the Go runtime's threads
// (runtime.cloneFlags; on amd64 CLONE_SETTLS comes to it): anything else would
// be a process, or a namespace.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// notExecutable are the protections a mapping may have once all code is loaded.
var notExecutable = []uint64{unix.PROT_NONE, unix.PROT_READ, unix.PROT_WRITE, unix.PROT_READ | unix.PROT_WRITE}

// The calls with conditions come first, as the kernel keeps the verdict of the
// others in a bitmap (Linux 5.11) and does not run the program for them.
var conditional = [...]call{
	{name: "mmap", nr: unix.SYS_MMAP, vital: true, cases: []args{{{2, notExecutable}}}},
	{name: "mprotect", nr: unix.SYS_MPROTECT, cases: []args{{{2, notExecutable}}}},
	{name: "fcntl", nr: unix.SYS_FCNTL, cases: []args{
		{{1, []uint64{unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL}}},
	}},
	{name: "ioctl", nr: unix.SYS_IOCTL, cases: []args{
		{{1, []uint64{unix.TCGETS, unix.TIOCGWINSZ, unix.TIOCINQ}}},
	}},
	{name: "socket", nr: unix.SYS_SOCKET, cases: []args{
		{{0, []uint64{unix.AF_INET}}, {1, socketTypes}, {2, []uint64{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP}}},
		{{0, []uint64{unix.AF_INET6}}, {1, socketTypes}, {2, []uint64{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP}}},
		{{0, []uint64{unix.AF_UNIX}}, {1, socketTypes}, {2, []uint64{0}}},
	}},
	// Options that a guest can set; none attaches a program to a socket.
	{name: "setsockopt", nr: unix.SYS_SETSOCKOPT, cases: []args{
		{{1, []uint64{unix.SOL_SOCKET}}, {2, []uint64{
			unix.SO_REUSEADDR, unix.SO_BROADCAST, unix.SO_SNDBUF, unix.SO_RCVBUF, unix.SO_KEEPALIVE, unix.SO_OOBINLINE,
			unix.SO_LINGER, unix.SO_REUSEPORT, unix.SO_RCVLOWAT, unix.SO_RCVTIMEO, unix.SO_SNDTIMEO, unix.SO_DONTROUTE}}},
		{{1, []uint64{unix.IPPROTO_TCP}}, {2, []uint64{
			unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT}}},
		{{1, []uint64{unix.IPPROTO_IP}}, {2, []uint64{
			unix.IP_TOS, unix.IP_TTL, unix.IP_FREEBIND, unix.IP_MULTICAST_TTL, unix.IP_MULTICAST_LOOP,
			unix.IP_ADD_MEMBERSHIP, unix.IP_DROP_MEMBERSHIP}}},
		{{1, []uint64{unix.IPPROTO_IPV6}}, {2, []uint64{
			unix.IPV6_V6ONLY, unix.IPV6_UNICAST_HOPS, unix.IPV6_FREEBIND, unix.IPV6_MULTICAST_HOPS, unix.IPV6_MULTICAST_LOOP,
			unix.IPV6_JOIN_GROUP, unix.IPV6_LEAVE_GROUP}}},
	}},
	{name: "clone", nr: unix.SYS_CLONE, vital: true, cases: []args{{{0, []uint64{threadFlags, threadFlags | unix.CLONE_SETTLS}}}}},
	{name: "prctl", nr: unix.SYS_PRCTL, cases: []args{
		{{0, []uint64{unix.PR_SET_VMA, unix.PR_SET_NAME, unix.PR_GET_SECCOMP}}},
	}},
	{name: "prlimit64", nr: unix.SYS_PRLIMIT64, cases: []args{{{0, []uint64{0}}}}}, // its own
}

// socketTypes are stream and datagram, with any of the two flags.
var socketTypes = []uint64{
	unix.SOCK_STREAM, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, unix.SOCK_STREAM | unix.SOCK_NONBLOCK,
	unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK,
	unix.SOCK_DGRAM, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, unix.SOCK_DGRAM | unix.SOCK_NONBLOCK,
	unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK,
}

var unconditional = [...]call{
	// The Go runtime.
	{name: "futex", nr: unix.SYS_FUTEX, vital: true},
	{name: "nanosleep", nr: unix.SYS_NANOSLEEP, vital: true},
	{name: "epoll_pwait", nr: unix.SYS_EPOLL_PWAIT, vital: true},
	{name: "epoll_ctl", nr: unix.SYS_EPOLL_CTL, vital: true},
	{name: "epoll_create1", nr: unix.SYS_EPOLL_CREATE1, vital: true},
	{name: "eventfd2", nr: unix.SYS_EVENTFD2, vital: true},
	{name: "sched_yield", nr: unix.SYS_SCHED_YIELD, vital: true},
	{name: "madvise", nr: unix.SYS_MADVISE, vital: true},
	{name: "munmap", nr: unix.SYS_MUNMAP, vital: true},
	{name: "rt_sigaction", nr: unix.SYS_RT_SIGACTION, vital: true},
	{name: "rt_sigprocmask", nr: unix.SYS_RT_SIGPROCMASK, vital: true},
	{name: "rt_sigreturn", nr: unix.SYS_RT_SIGRETURN, vital: true},
	{name: "sigaltstack", nr: unix.SYS_SIGALTSTACK, vital: true},
	{name: "tgkill", nr: unix.SYS_TGKILL, vital: true}, // of this process alone: see Load
	{name: "kill", nr: unix.SYS_KILL},                  // likewise
	{name: "gettid", nr: unix.SYS_GETTID, vital: true},
	{name: "getpid", nr: unix.SYS_GETPID, vital: true},
	{name: "sched_getaffinity", nr: unix.SYS_SCHED_GETAFFINITY},
	{name: "clock_gettime", nr: unix.SYS_CLOCK_GETTIME, vital: true},
	{name: "restart_syscall", nr: unix.SYS_RESTART_SYSCALL, vital: true}, // after STOP and CONT
	{name: "exit", nr: unix.SYS_EXIT, vital: true},
	{name: "exit_group", nr: unix.SYS_EXIT_GROUP, vital: true},
	// Files, streams and terminals.
	{name: "read", nr: unix.SYS_READ, vital: true},
	{name: "write", nr: unix.SYS_WRITE, vital: true},
	{name: "readv", nr: unix.SYS_READV},
	{name: "writev", nr: unix.SYS_WRITEV},
	{name: "pread64", nr: unix.SYS_PREAD64},
	{name: "pwrite64", nr: unix.SYS_PWRITE64},
	{name: "preadv", nr: unix.SYS_PREADV},
	{name: "pwritev", nr: unix.SYS_PWRITEV},
	{name: "close", nr: unix.SYS_CLOSE, vital: true},
	{name: "openat", nr: unix.SYS_OPENAT},
	{name: "openat2", nr: unix.SYS_OPENAT2},
	{name: "fstat", nr: unix.SYS_FSTAT},
	{name: "newfstatat", nr: sysNewfstatat},
	{name: "lseek", nr: unix.SYS_LSEEK},
	{name: "getdents64", nr: unix.SYS_GETDENTS64},
	{name: "readlinkat", nr: unix.SYS_READLINKAT},
	{name: "mkdirat", nr: unix.SYS_MKDIRAT},
	{name: "unlinkat", nr: unix.SYS_UNLINKAT},
	{name: "linkat", nr: unix.SYS_LINKAT},
	{name: "symlinkat", nr: unix.SYS_SYMLINKAT},
	{name: "renameat2", nr: unix.SYS_RENAMEAT2},
	{name: "ftruncate", nr: unix.SYS_FTRUNCATE},
	{name: "fallocate", nr: unix.SYS_FALLOCATE},
	{name: "fadvise64", nr: unix.SYS_FADVISE64},
	{name: "fsync", nr: unix.SYS_FSYNC},
	{name: "fdatasync", nr: unix.SYS_FDATASYNC},
	{name: "utimensat", nr: unix.SYS_UTIMENSAT},
	{name: "fchdir", nr: unix.SYS_FCHDIR},
	// Sockets.
	{name: "bind", nr: unix.SYS_BIND},
	{name: "connect", nr: unix.SYS_CONNECT},
	{name: "listen", nr: unix.SYS_LISTEN},
	{name: "accept4", nr: unix.SYS_ACCEPT4},
	{name: "shutdown", nr: unix.SYS_SHUTDOWN},
	{name: "sendmsg", nr: unix.SYS_SENDMSG},
	{name: "recvmsg", nr: unix.SYS_RECVMSG},
	{name: "getsockname", nr: unix.SYS_GETSOCKNAME},
	{name: "getpeername", nr: unix.SYS_GETPEERNAME},
	{name: "getsockopt", nr: unix.SYS_GETSOCKOPT},
	// Readiness, clocks, random.
	{name: "ppoll", nr: unix.SYS_PPOLL},
	{name: "clock_getres", nr: unix.SYS_CLOCK_GETRES},
	{name: "getrandom", nr: unix.SYS_GETRANDOM},
}

// never are the calls that no sandbox ever has a reason for: whoever makes one
// has taken the process over, and it ends at once.
var never = [...]uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_KCMP, unix.SYS_PIDFD_GETFD, unix.SYS_PROCESS_MADVISE,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_PERSONALITY, unix.SYS_PKEY_MPROTECT, unix.SYS_SECCOMP, unix.SYS_VHANGUP, unix.SYS_NFSSERVCTL,
}
