// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// maxSpec is how large a bundle's config.json may be, in bytes. containerd's
// own messages, one of which carried it, end at 16 MiB.
const maxSpec = 10 << 20

// Read reads and decodes the config.json of a bundle.
// The error wraps errdefs.ErrInvalidArgument where the file is at fault.
func Read(bundle string) (*specs.Spec, error) {
	name := filepath.Join(bundle, "config.json")
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		// dockerd would take "no such file or directory" for the module's.
		return nil, invalid(fmt.Errorf("the bundle's configuration %s does not exist", name))
	}
	if err != nil {
		return nil, fmt.Errorf("read the bundle's configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSpec+1))
	if err != nil {
		return nil, fmt.Errorf("read the bundle's configuration: %w", err)
	}
	spec, err := decode(data)
	if err != nil {
		return nil, invalid(fmt.Errorf("%s %w", name, err))
	}
	return spec, nil
}

// decode decodes a specification. Its errors read on from the file's name.
func decode(data []byte) (*specs.Spec, error) {
	if len(data) > maxSpec {
		return nil, fmt.Errorf("is larger than %d MiB", maxSpec>>20)
	}
	c := new(configuration)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("is not an OCI runtime configuration: %w", err)
	}
	return &c.Spec, checkVersion(c.Version)
}

// configuration is a specification without what it says of other systems: their
// fields hide those of the same name. Each shim decodes one configuration, for
// which encoding/json prepares every type in it; with those of other systems
// that takes a quarter longer.
type configuration struct {
	specs.Spec
	Solaris struct{} `json:"solaris"`
	Windows struct{} `json:"windows"`
	VM      struct{} `json:"vm"`
	ZOS     struct{} `json:"zos"`
	FreeBSD struct{} `json:"freebsd"`
}

// checkVersion takes every version of the specification's first major: minor
// ones only add. Callers that leave the version out are taken at their word.
func checkVersion(version string) error {
	if major, _, _ := strings.Cut(version, "."); version != "" && major != "1" {
		return fmt.Errorf("has ociVersion %.40q: this runtime knows version 1 of the OCI runtime specification", version)
	}
	return nil
}

var errNUL = errors.New("holds a NUL byte")

// checkText refuses what no path, argument or variable can hold.
func checkText(what, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%s %.80q %w", what, s, errNUL)
	}
	return nil
}
