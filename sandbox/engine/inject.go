// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"crypto/sha256"
	"errors"
	"io"
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero"
)

// compilations is wazero's internal/filecache.Cache: what it asks for compiled
// modules, by a key of its own.
type compilations interface {
	// Get returns the serialized entry; wazero closes it.
	Get(key [sha256.Size]byte) (content io.ReadCloser, ok bool, err error)
	// Add stores one.
	Add(key [sha256.Size]byte, content io.Reader) error
	// Delete drops one that is for another version of wazero.
	Delete(key [sha256.Size]byte) error
}

// newCache returns a compilation cache that keeps its entries in c. wazero
// offers only one that keeps them in a folder by path, and neither of our
// processes has a folder: so the unexported field that holds it is set. A test
// fails when a new version of wazero has it elsewhere.
func newCache(c compilations) (wazero.CompilationCache, error) {
	cache := wazero.NewCompilationCache()
	v := reflect.ValueOf(cache)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, errInternals
	}
	f := v.Elem().FieldByName("fileCache")
	if !f.IsValid() || f.Kind() != reflect.Interface || !reflect.TypeOf(c).Implements(f.Type()) {
		return nil, errInternals
	}
	reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(c))
	return cache, nil
}

var errInternals = errors.New("this version of wazero keeps its compilation cache elsewhere")
