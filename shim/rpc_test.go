// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestToStatus: a code by the sentinel, and words that no terminal obeys.
func TestToStatus(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code codes.Code
		text string
	}{
		{fmt.Errorf("container x: %w", errdefs.ErrNotFound), codes.NotFound, "container x: not found"},
		{fmt.Errorf("no sentinel"), codes.Unknown, "no sentinel"},
		{errdefs.ErrInvalidArgument.WithMessage("module /a\x1b]0;t\x07\u009b2J\u202eb is\nbad \xff"), codes.InvalidArgument, "module /a ]0;t  2J b is\nbad ?"},
		{fmt.Errorf("bind /x\x1b[2J\r"), codes.Unknown, "bind /x [2J "},
	} {
		st := status.Convert(toStatus(tc.err))
		if st.Code() != tc.code || st.Message() != tc.text {
			t.Errorf("%q became %v, %q", tc.err, st.Code(), st.Message())
		}
	}
}
