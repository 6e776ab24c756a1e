// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"containerd-shim-wazero/sandbox/cache"
)

// Precompile fills the cache with the modules of some files, and tells for each
// on w what was done. All files are tried; the error joins what failed.
func Precompile(ctx context.Context, c *cache.Cache, maxSize int64, files []string, w io.Writer) error {
	var failed []error
	for _, name := range files {
		began := time.Now()
		cached, err := precompile(ctx, c, maxSize, name)
		switch {
		case err != nil:
			failed = append(failed, err)
		case cached:
			fmt.Fprintf(w, "%s: in the cache already\n", name)
		default:
			fmt.Fprintf(w, "%s: compiled in %v\n", name, time.Since(began).Round(time.Millisecond))
		}
	}
	return errors.Join(failed...)
}

func precompile(ctx context.Context, c *cache.Cache, maxSize int64, name string) (cached bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	e, err := c.Ensure(ctx, f, name, maxSize)
	if err != nil {
		return false, err
	}
	return e.Cached, e.Close()
}
