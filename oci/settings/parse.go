// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// file is the settings file as it is written; nil is what it leaves out.
type file struct {
	LogLevel *string `toml:"log_level"`
	Cache    struct {
		Dir     *string `toml:"dir"`
		MaxSize *string `toml:"max_size"`
	} `toml:"cache"`
	Module struct {
		MaxSize *string `toml:"max_size"`
	} `toml:"module"`
	Ceiling struct {
		Listen     *string `toml:"listen"`
		Connect    *string `toml:"connect"`
		Timeout    *string `toml:"timeout"`
		CPUTimeout *string `toml:"cpu_timeout"`
	} `toml:"ceiling"`
}

// Parse reads the text of a settings file over the defaults. A key it does not
// know is an error that names it.
func Parse(data []byte) (*Settings, error) {
	var f file
	d := toml.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, parseError(err)
	}
	s := Default()
	if f.LogLevel != nil {
		s.LogLevel = *f.LogLevel
	}
	if f.Cache.Dir != nil {
		s.CacheDir = *f.Cache.Dir
	}
	var err error
	if s.CacheMaxSize, err = size("cache.max_size", f.Cache.MaxSize, s.CacheMaxSize); err != nil {
		return nil, err
	}
	if s.ModuleMaxSize, err = size("module.max_size", f.Module.MaxSize, s.ModuleMaxSize); err != nil {
		return nil, err
	}
	if s.Ceiling, err = f.ceiling(); err != nil {
		return nil, err
	}
	return s, s.check()
}

// parseError makes one line of the decoder's errors, which draw a picture.
func parseError(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		first := strict.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("line %d: unknown key %s", line, strings.Join(first.Key(), "."))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, _ := decode.Position()
		return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(decode.Error(), "toml: "))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "toml: "))
}

// units of sizes; the longer names first, as all end in B.
var units = [...]struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// size reads a number of bytes with its unit ("256MiB", "4GB").
func size(key string, value *string, otherwise int64) (int64, error) {
	if value == nil {
		return otherwise, nil
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(*value, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("%s %.40q is not a size like 256MiB or 4GB", key, *value)
}
