// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// State is where a process is in its life. What is not in this table is
// refused:
//
//	         start    pause   resume   exit     delete
//	created  running  -       -        stopped  deleted (init is killed first)
//	running  -        paused  -        stopped  -
//	paused   -        -       running  stopped  -
//	stopped  -        -       -        -        deleted
//
// Only init is ever paused: its execs are frozen with it and still running.
type State int

// The states. Nothing leaves deleted.
const (
	Created State = iota
	Running
	Paused
	Stopped
	Deleted
)

// String is the word that error messages use.
func (s State) String() string {
	return [...]string{"created", "running", "paused", "stopped", "deleted"}[s]
}

// verb is what a caller asks of a process.
type verb string

const (
	start  verb = "start"
	pause  verb = "pause"
	resume verb = "resume"
	update verb = "update"
	exec   verb = "exec in"
	kill   verb = "kill"
	remove verb = "delete"
)

// allowed says in which states a verb does something.
var allowed = map[verb][Deleted + 1]bool{
	start:  {Created: true},
	pause:  {Running: true},
	resume: {Paused: true},
	update: {Created: true, Running: true, Paused: true},
	exec:   {Created: true, Running: true},
	kill:   {Created: true, Running: true, Paused: true},
	remove: {Created: true, Stopped: true},
}

// check refuses v in state s of the process called name, with the code its
// callers look for: what ends or limits a process finds none once it has
// stopped, the rest comes at the wrong time.
func (s State) check(v verb, name string) error {
	switch {
	case allowed[v][s]:
		return nil
	case s == Deleted:
		return fmt.Errorf("%s is deleted: %w", name, errdefs.ErrNotFound)
	case s == Stopped && (v == kill || v == update):
		return fmt.Errorf("cannot %s %s: process already finished: %w", v, name, errdefs.ErrNotFound)
	default:
		return fmt.Errorf("cannot %s %s: it is %s: %w", v, name, s, errdefs.ErrFailedPrecondition)
	}
}
