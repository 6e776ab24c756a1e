// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"testing"

	"github.com/containerd/errdefs"
)

func TestStateCheck(t *testing.T) {
	ok := func(err error) bool { return err == nil }
	wrongTime, gone := errdefs.IsFailedPrecondition, errdefs.IsNotFound
	for v, want := range map[verb][Deleted + 1]func(error) bool{
		//       created    running    paused     stopped    deleted
		start:  {ok, wrongTime, wrongTime, wrongTime, gone},
		pause:  {wrongTime, ok, wrongTime, wrongTime, gone},
		resume: {wrongTime, wrongTime, ok, wrongTime, gone},
		update: {ok, ok, ok, gone, gone},
		exec:   {ok, ok, wrongTime, wrongTime, gone},
		kill:   {ok, ok, ok, gone, gone},
		remove: {ok, wrongTime, wrongTime, ok, gone},
	} {
		for s, is := range want {
			if err := State(s).check(v, "container c"); !is(err) {
				t.Errorf("%s in state %s: %v", v, State(s), err)
			}
		}
	}
}
