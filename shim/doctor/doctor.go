// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package doctor looks a machine over: whether it has what the shim needs, and
// what to do where it has not.
package doctor

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Level is how bad a finding is.
type Level int

// The levels. Only Missing keeps containers from running.
const (
	Fine Level = iota
	Note
	Missing
)

func (l Level) String() string { return [...]string{"ok", "note", "MISSING"}[l] }

// Finding is one thing looked at.
type Finding struct {
	Level   Level
	Subject string
	Text    string
	// Remedy is what to do, "" where there is nothing to.
	Remedy string
}

func fine(subject, format string, args ...any) Finding {
	return Finding{Fine, subject, fmt.Sprintf(format, args...), ""}
}

// checks in the order of their report.
var checks = []func(context.Context) []Finding{kernel, cgroups, security, containerd, docker, kubernetes, cache}

// timeout bounds the questions to one daemon.
const timeout = 5 * time.Second

// Examine prints what it finds and reports whether containers can run.
func Examine(ctx context.Context, w io.Writer) (healthy bool, err error) {
	healthy = true
	for _, check := range checks {
		for _, f := range check(ctx) {
			if _, err := fmt.Fprintf(w, "%-8s %-12s %s\n", f.Level, f.Subject, f.Text); err != nil {
				return false, err
			}
			if f.Remedy != "" {
				if _, err := fmt.Fprintf(w, "%-8s %-12s -> %s\n", "", "", f.Remedy); err != nil {
					return false, err
				}
			}
			healthy = healthy && f.Level != Missing
		}
	}
	return healthy, nil
}
