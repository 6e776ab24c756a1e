// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"path"

	runc "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Options are the runtime options that a caller of containerd gives with a
// container.
type Options struct {
	// IoUID and IoGID own the guest's stdio, which the shim makes.
	IoUID, IoGID uint32

	file string
	text []byte
}

// ParseOptions reads the runtime options of a Create request, nil for none:
// runtimeoptions.v1.Options, which name a settings file or hold its text, or
// runc's, which CRI sends for pods with user namespaces and of which only the
// owner of stdio means something here.
func ParseOptions(a *anypb.Any) (Options, error) {
	if a == nil || a.GetTypeUrl() == "" {
		return Options{}, nil
	}
	switch kind := path.Base(a.GetTypeUrl()); kind {
	case "runtimeoptions.v1.Options":
		var o runtimeoptions.Options
		if err := proto.Unmarshal(a.GetValue(), &o); err != nil {
			return Options{}, fmt.Errorf("runtime options %s: %w", kind, err)
		}
		return Options{file: o.GetConfigPath(), text: o.GetConfigBody()}, nil
	case "containerd.runc.v1.Options":
		var o runc.Options
		if err := proto.Unmarshal(a.GetValue(), &o); err != nil {
			return Options{}, fmt.Errorf("runtime options %s: %w", kind, err)
		}
		return Options{IoUID: o.GetIoUid(), IoGID: o.GetIoGid()}, nil
	default:
		return Options{}, fmt.Errorf("runtime options of type %.100q are not known: use runtimeoptions.v1.Options with a ConfigPath", kind)
	}
}

// Settings are those of the file that the options name, of the text in them, or
// of [DefaultFile].
func (o Options) Settings() (*Settings, error) {
	if o.file == "" && len(o.text) > 0 {
		s, err := Parse(o.text)
		if err != nil {
			return nil, fmt.Errorf("settings in the runtime's options: %w", err)
		}
		return s, nil
	}
	return Load(o.file)
}
