// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/sandbox/wasi/policy"
)

// Kind is what a sandbox process does once it is let go.
type Kind string

const (
	// Wasm runs a WebAssembly module.
	Wasm Kind = "wasm"
	// Pause holds the namespaces of a pod, and reaps where it is pid 1.
	Pause Kind = "pause"
)

// Process is one process of a container: its init, or an exec.
type Process struct {
	Kind   Kind
	Module Module
	// Args is the guest's argv, also shown as the sandbox process's own.
	Args []string
	// Env is the guest's whole environment, "KEY=value".
	Env []string
	// Cwd is absolute, inside the container's root.
	Cwd      string
	User     User
	Terminal bool
	// ConsoleSize in characters; zero when unknown.
	ConsoleWidth, ConsoleHeight uint16
	// Capabilities is a bit set (1<<CAP_…), already within what WASI can use.
	Capabilities    uint64
	NoNewPrivileges bool
	Rlimits         []Rlimit
	// Seccomp is the bundle's profile; nil for none. The sandbox's own filter
	// always applies.
	Seccomp         *specs.LinuxSeccomp
	AppArmorProfile string
	SELinuxLabel    string
	IOPriority      *specs.LinuxIOPriority
	Scheduler       *specs.Scheduler
	// CPUAffinity is a cpu list ("0-1,3"), "" to inherit.
	CPUAffinity string
	Personality *specs.LinuxPersonality
	// Preopens are the directories the guest finds open, none if empty. Nil
	// means by the rule, which needs the mounted root: with / as working
	// directory one, "/"; else "." for the working directory and each
	// directory at the root's top under its absolute name.
	Preopens []Preopen
	Network  Network
	// Timeout is wall time from Start, CPUTimeout processor time; 0 for none.
	Timeout, CPUTimeout time.Duration
}

// Module names the code to run.
type Module struct {
	// Path is where the module lies: absolute or relative to Cwd, or a bare
	// name that is looked up in SearchPath. Empty when the image itself is the
	// module (an OCI artifact), which the shim then hands over.
	Path string
	// Export is the function to call, "" for the module's entry point.
	Export string
	// SearchPath are the folders of the container's PATH; Cwd comes after them:
	// many images FROM scratch name their module without a folder.
	SearchPath []string
	// Blob is the artifact's module on the host (content store), "" otherwise.
	Blob string
	// MaxSize in bytes that a module may have.
	MaxSize int64
}

// User is whose permissions the kernel checks.
type User struct {
	UID, GID uint32
	Groups   []uint32
	// Umask is nil to inherit 0022.
	Umask *uint32
}

// Rlimit is one resource limit, by its number (unix.RLIMIT_…).
type Rlimit struct {
	Type       int
	Soft, Hard uint64
}

// Preopen is a directory the guest finds open.
type Preopen struct {
	Path     string // absolute, inside the container's root
	Name     string // what the guest sees
	ReadOnly bool
}

// Network is what a guest may do with sockets.
type Network struct {
	// Grants say what it may listen on, connect to and look up, already
	// narrowed to the operator's ceiling.
	Grants policy.Grants
	// Preopen are the addresses to listen on before the guest starts, TCP and
	// UDP, each with one address or every address and a port other than 0.
	// They are opened only for a module that makes no sockets of its own.
	Preopen []policy.ListenRule
	// Exposed says that the ports the image exposes belong to Preopen. Only few
	// modules accept connections so, and asking for the ports takes about as long
	// as the sandbox's own start: they are asked for where they matter.
	Exposed bool
}
