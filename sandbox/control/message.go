// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/containerd/errdefs"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/mount"
	"containerd-shim-wazero/sandbox/seccomp"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// Setup is what a container's first process makes of its namespaces. Its files
// are the root's tree, then those of the mounts that have one, then those of
// the devices that are bound.
type Setup struct {
	Root    config.Root
	Mounts  []mount.Plan
	Devices []config.Device
	// BindDevices: the nodes are handed over, the process may not make any.
	BindDevices   bool
	MaskedPaths   []string
	ReadonlyPaths []string
	Hostname      string
	Domainname    string
	Sysctl        map[string]string
	// Cwd is made where it is missing.
	Cwd string
	// Loopback is to be brought up.
	Loopback bool
	// Hooks run between the mounts and the entry into the root.
	Hooks bool
}

// Label is an LSM's label for the process. Its files are the binary, to be
// executed once more, and the host's /proc.
type Label struct{ AppArmor, SELinux string }

// Process is what the process becomes. Its file is the page with the guest's
// memory limit.
type Process struct {
	config.Process
	// Filter is the seccomp program.
	Filter seccomp.Program
}

// Image is what comes with a module's image.
type Image struct {
	// Preopen are addresses to listen on, beside those of the Process.
	Preopen []policy.ListenRule
}

// Error is a failure on its way to the shim.
type Error struct {
	Kind Kind
	Text string
}

// Kind of an Error.
type Kind string

// Kinds of errors, each an errdefs sentinel on the shim's side.
const (
	NotFound Kind = "notfound"
	Invalid  Kind = "invalid"
	Denied   Kind = "denied"
	Damaged  Kind = "damaged" // the image: compile the module again
	Failed   Kind = "failed"
)

// maxText bounds the sentence of an Error in bytes.
const maxText = 4 << 10

// ErrDamaged is Damaged on the shim's side.
var ErrDamaged = errors.New("the compiled module is damaged")

var sentinels = map[Kind]error{
	NotFound: errdefs.ErrNotFound,
	Invalid:  errdefs.ErrInvalidArgument,
	Denied:   errdefs.ErrPermissionDenied,
	Damaged:  ErrDamaged,
}

// FromError makes the message of err.
func FromError(err error) Error {
	text := err.Error()
	if len(text) > maxText {
		text = text[:maxText]
	}
	for kind, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return Error{kind, text}
		}
	}
	return Error{Failed, text}
}

// Err is the error that the message describes. Its text is the sandbox's words
// alone, made printable.
func (e Error) Err() error {
	sentinel, ok := sentinels[e.Kind]
	if !ok {
		sentinel = errdefs.ErrUnknown
	}
	text := strings.ToValidUTF8(e.Text, "?")
	if len(text) > maxText {
		text = text[:maxText]
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return &typed{text, sentinel}
}

// typed is an error with a sentence of its own and a sentinel behind it.
type typed struct {
	text     string
	sentinel error
}

func (e *typed) Error() string { return e.text }
func (e *typed) Unwrap() error { return e.sentinel }

// Errorf makes an error with a sentence, and a sentinel that is not part of it.
func Errorf(sentinel error, format string, args ...any) error {
	return &typed{fmt.Sprintf(format, args...), sentinel}
}
