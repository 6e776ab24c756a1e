// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
)

// Artifact is a container of an imported artifact. "ctr run" refuses the media
// types of one's configuration; so neither arguments nor a root are taken from
// it here: the root is empty.
func (n *Node) Artifact(t testing.TB, image string, args ...string) *Container {
	t.Helper()
	c := n.Container(t, image, args...)
	c.artifact = true
	return c
}

// base is what the spec takes from the image.
func (c *Container) base(image client.Image) oci.SpecOpts {
	if c.artifact {
		return oci.WithProcessArgs(c.args...)
	}
	return oci.WithImageConfigArgs(image, c.args)
}

// emptySnapshot makes a root file system without any image.
func emptySnapshot(ctx context.Context, cl *client.Client, c *containers.Container) error {
	if _, err := cl.SnapshotService(c.Snapshotter).Prepare(ctx, c.ID, ""); err != nil {
		return err
	}
	c.SnapshotKey = c.ID
	return nil
}
