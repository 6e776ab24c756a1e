// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// features are the proposals that modules may use: all that wazero compiles but
// threads, for which WASI 0.1 has no standard and which one process of a guest
// could not give safely.
const features = api.CoreFeaturesV2 |
	experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesTypedFunctionReferences

// newRuntime returns a runtime whose compiled modules are kept in c. What
// compiles and what loads must have the same settings: image.Format is to be
// raised when one changes.
func newRuntime(ctx context.Context, c compilations) (wazero.Runtime, error) {
	cache, err := newCache(c)
	if err != nil {
		return nil, err
	}
	config := wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(features).
		WithCompilationCache(cache).
		WithDebugInfoEnabled(true)
	return wazero.NewRuntimeWithConfig(ctx, config), nil
}
