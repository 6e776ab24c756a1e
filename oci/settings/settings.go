// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package settings reads the operator's settings: where the node keeps its
// compile cache, how large things may be, and the ceiling above which no
// annotation grants anything. Their reference is docs/capabilities.md.
package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/sys/userns"
	"golang.org/x/sys/unix"

	"containerd-shim-wazero/oci/annotation"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// DefaultFile is read where the runtime's options name no other. It may be
// missing.
const DefaultFile = "/etc/containerd-shim-wazero/config.toml"

// maxFile is how large a settings file may be, in bytes.
const maxFile = 1 << 20

// Settings of a node.
type Settings struct {
	// LogLevel is one of trace, debug, info, warn, error.
	LogLevel string
	// CacheDir is the absolute path of the compile cache's folder.
	CacheDir string
	// CacheMaxSize is how large the cache may grow, in bytes.
	CacheMaxSize int64
	// ModuleMaxSize is how large a module may be, in bytes.
	ModuleMaxSize int64
	Ceiling       Ceiling
}

// Ceiling is the most that any container gets. A nil list and a duration of 0
// set no limit; an empty list grants nothing. There is none for preopens: they
// reach no further than the container's mounts.
type Ceiling struct {
	Listen     []policy.ListenRule
	Connect    []policy.ConnectRule
	Timeout    time.Duration
	CPUTimeout time.Duration
}

// Default are the settings of a node whose operator said nothing.
func Default() *Settings {
	return &Settings{
		LogLevel:      "info",
		CacheDir:      cacheDir(),
		CacheMaxSize:  4 << 30,
		ModuleMaxSize: 256 << 20,
	}
}

// cacheDir is the system's, or the user's where containerd is rootless: root
// in a user namespace may not write to the system's folders.
func cacheDir() string {
	const system, name = "/var/lib/containerd-shim-wazero", "containerd-shim-wazero"
	if !userns.RunningInUserNS() || unix.Access(filepath.Dir(system), unix.W_OK) == nil {
		return system
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return system
	}
	return filepath.Join(dir, name)
}

// Load reads a settings file. Without a name it is [DefaultFile], which may be
// missing; a named one must be there.
func Load(name string) (*Settings, error) {
	file := name
	if file == "" {
		file = DefaultFile
	}
	data, err := read(file)
	if name == "" && errors.Is(err, os.ErrNotExist) {
		return Default(), nil
	}
	if errors.Is(err, os.ErrNotExist) {
		// dockerd would take "no such file or directory" for the module's.
		return nil, fmt.Errorf("the settings file %s, which the runtime's options name, does not exist", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	s, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("settings file %s: %w", file, err)
	}
	return s, nil
}

func read(file string) ([]byte, error) {
	if !filepath.IsAbs(file) {
		return nil, fmt.Errorf("%.200q is not an absolute path", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d MiB", file, maxFile>>20)
	}
	return data, err
}

// check refuses values that parse and cannot be meant.
func (s *Settings) check() error {
	switch s.LogLevel {
	case "trace", "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log_level %.40q is none of trace, debug, info, warn, error", s.LogLevel)
	}
	if !filepath.IsAbs(s.CacheDir) {
		return fmt.Errorf("cache.dir %.200q is not an absolute path", s.CacheDir)
	}
	return nil
}

// ceiling reads the limits, which have the form of the annotations.
func (f *file) ceiling() (c Ceiling, err error) {
	if f.Ceiling.Listen != nil {
		if c.Listen, err = policy.ParseListen(*f.Ceiling.Listen); err != nil {
			return c, fmt.Errorf("ceiling.listen: %w", err)
		}
		c.Listen = append([]policy.ListenRule{}, c.Listen...)
	}
	if f.Ceiling.Connect != nil {
		if c.Connect, err = policy.ParseConnect(*f.Ceiling.Connect); err != nil {
			return c, fmt.Errorf("ceiling.connect: %w", err)
		}
		c.Connect = append([]policy.ConnectRule{}, c.Connect...)
	}
	if f.Ceiling.Timeout != nil {
		if c.Timeout, err = annotation.ParseTimeout(*f.Ceiling.Timeout); err != nil {
			return c, fmt.Errorf("ceiling.timeout: %w", err)
		}
	}
	if f.Ceiling.CPUTimeout != nil {
		if c.CPUTimeout, err = annotation.ParseTimeout(*f.Ceiling.CPUTimeout); err != nil {
			return c, fmt.Errorf("ceiling.cpu_timeout: %w", err)
		}
	}
	return c, nil
}
