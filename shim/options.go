// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"fmt"
	"strings"

	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"containerd-shim-wazero/oci/settings"
)

// loadSettings reads the operator's settings: from the file that the task's
// runtime options name, else from the default one.
//
// dockerd and containerd's configuration send runtimeoptions.v1.Options with
// the file's path, CRI also with the text of the options table. For pods with
// user namespaces CRI sends runc's Options, of which the owner of stdio pipes is
// set: FIFOs go to the guest open, so there is no owner to set.
func loadSettings(value *anypb.Any) (*settings.Settings, error) {
	switch url := value.GetTypeUrl(); url[strings.LastIndexByte(url, '/')+1:] {
	case "", "containerd.runc.v1.Options":
		return settings.Load("")
	case "runtimeoptions.v1.Options":
		var o runtimeoptions.Options
		if err := proto.Unmarshal(value.Value, &o); err != nil {
			return nil, fmt.Errorf("read the runtime options: %w", err)
		}
		if o.ConfigPath == "" && len(o.ConfigBody) > 0 {
			set, err := settings.Parse(o.ConfigBody)
			if err != nil {
				return nil, fmt.Errorf("runtime options: %w", err)
			}
			return set, nil
		}
		return settings.Load(o.ConfigPath)
	default:
		return nil, fmt.Errorf("runtime options of the type %.200q are not known: use runtimeoptions.v1.Options with a ConfigPath", url)
	}
}
