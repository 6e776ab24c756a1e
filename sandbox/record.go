// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/sandbox/cgroup"
)

// recordName is the file in a bundle by which a container is found again when
// its shim has died. It is there as long as anything is left to remove.
const recordName = "sandbox.json"

// record is what Remove needs.
type record struct {
	ID          string            `json:"id"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Cgroup      cgroup.Record     `json:"cgroup"`
	First       *first            `json:"first,omitempty"` // without a cgroup
	Poststop    []specs.Hook      `json:"poststop,omitempty"`
}

func (c *Container) writeRecord(f *first) error {
	r := record{ID: c.config.ID, Annotations: c.config.Annotations, Cgroup: c.cgroup.Record(), First: f}
	if c.config.Hooks != nil {
		r.Poststop = c.config.Hooks.Poststop
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the sandbox's record: %w", err)
	}
	name := filepath.Join(c.config.Bundle, recordName)
	temporary := filepath.Join(c.config.Bundle, "."+recordName)
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("writing the sandbox's record: %w", err)
	}
	if err := os.Rename(temporary, name); err != nil {
		return fmt.Errorf("writing the sandbox's record: %w", err)
	}
	return nil
}

func removeRecord(bundle string) error {
	err := unix.Unlink(filepath.Join(bundle, recordName))
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("removing the sandbox's record: %w", err)
	}
	return nil
}

// Remove does what Delete does, for a container whose shim is gone, from the
// record in the bundle. Nothing left is no error. Hooks that fail are told on
// standard error, which containerd logs.
func Remove(ctx context.Context, bundle string) error {
	b, err := os.ReadFile(filepath.Join(bundle, recordName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the sandbox's record: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("reading the sandbox's record: %w", err)
	}
	m, err := cgroup.Load(r.Cgroup)
	if err != nil {
		return err
	}
	if r.First != nil {
		if err := r.First.end(ctx); err != nil {
			return err
		}
	}
	if err := m.Destroy(ctx); err != nil {
		return err
	}
	state := specs.State{
		Version: specs.Version, ID: r.ID, Status: specs.StateStopped, Bundle: bundle, Annotations: r.Annotations,
	}
	poststop(ctx, r.Poststop, state, func(warning string) { fmt.Fprintln(os.Stderr, warning) })
	return removeRecord(bundle)
}
