// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package record keeps in a bundle what must outlive the shim: init's pid, and
// how init ended. `delete` answers containerd from it.
package record

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"time"
)

// file is the record's name in the bundle. A newer shim's `delete` reads an
// older one's: fields may be added, never changed.
const file = "task.json"

// Record of a container's init.
type Record struct {
	Pid int `json:"pid"`
	// Linux says that runc runs the container.
	Linux bool `json:"linux,omitempty"`
	// Exited says that Status and Time are init's.
	Exited bool      `json:"exited"`
	Status uint32    `json:"status"`
	Time   time.Time `json:"time"`
	// Removed says that the shim has left nothing of the container.
	Removed bool `json:"removed"`
}

// Save writes the record by rename, so that a reader finds a whole one.
func Save(bundle string, r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the record of %s: %w", bundle, err)
	}
	return WriteFile(path.Join(bundle, file), data)
}

// Load reads the record; a missing one wraps fs.ErrNotExist.
func Load(bundle string) (Record, error) {
	var r Record
	data, err := os.ReadFile(path.Join(bundle, file))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read the record of %s: %w", bundle, err)
	}
	return r, nil
}

// WriteFile replaces a file by rename. The caller is its only writer.
func WriteFile(name string, data []byte) error {
	tmp := path.Join(path.Dir(name), "."+path.Base(name))
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return nil
}
