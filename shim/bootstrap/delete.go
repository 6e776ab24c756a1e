// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"containerd-shim-wazero/shim/record"
	"containerd-shim-wazero/shim/rootfs"
)

// killed is the status of an init whose end nobody saw: it died with its shim.
const killed = 128 + uint32(unix.SIGKILL)

// ErrLeft says that a sandbox may be left.
var ErrLeft = errors.New("a sandbox may be left")

// Remove ends and clears away what a dead shim has left of a container in its
// bundle, and returns the container's record, with the exit status if it has
// learnt of one.
type Remove func(ctx context.Context, inv *Invocation, bundle string, r record.Record) (record.Record, error)

// Delete clears away what a shim left of the container, and answers on stdout
// how init ended. It runs after every ordinary Delete too, then with nothing to
// do, and never touches other members of the group. remove ends what a dead
// shim's sandbox has left; without it that is ErrLeft, and nothing is changed.
func Delete(ctx context.Context, inv *Invocation, remove Remove, stdout io.Writer) error {
	bundle := inv.Bundle
	if bundle == "" {
		var err error
		if bundle, err = os.Getwd(); err != nil {
			return fmt.Errorf("find the bundle: %w", err)
		}
	}
	r, rerr := record.Load(bundle)
	if rerr == nil && r.Removed {
		return answerDelete(stdout, r)
	}
	if remove == nil {
		return ErrLeft
	}
	r, err := remove(ctx, inv, bundle, r)
	for _, unmount := range []func(string) error{rootfs.Unmount, rootfs.UnmountShm} {
		if uerr := unmount(bundle); err == nil {
			err = uerr
		}
	}
	removeDeadSocket(bundle)
	if err != nil {
		return err
	}
	if rerr != nil || !r.Exited {
		r.Status, r.Time = killed, time.Now()
	}
	return answerDelete(stdout, r)
}

func answerDelete(stdout io.Writer, r record.Record) error {
	_, err := stdout.Write(deleteResponse(r))
	return err
}
