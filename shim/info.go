// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"containerd-shim-wazero/oci"
	"containerd-shim-wazero/shim/version"
)

const featuresURL = "types.containerd.io/opencontainers/runtime-spec/1/features/Features"

// Info answers `-info`: a containerd.types.RuntimeInfo. containerd may write
// runtime options to stdin; nothing in them changes the answer.
func Info(stdin io.Reader, stdout io.Writer) error {
	info := &types.RuntimeInfo{
		Name:    version.Name,
		Version: &types.RuntimeVersion{Version: version.Version, Revision: version.Revision},
	}
	if f, ok := stdin.(*os.File); !ok || isPipe(f) {
		data, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
		if err != nil {
			return fmt.Errorf("read the runtime options: %w", err)
		}
		if options := new(anypb.Any); len(data) > 0 && proto.Unmarshal(data, options) == nil {
			info.Options = options
		}
	}
	value, err := json.Marshal(supported())
	if err != nil {
		return err
	}
	info.Features = &anypb.Any{TypeUrl: featuresURL, Value: value}
	data, err := proto.Marshal(info)
	if err != nil {
		return err
	}
	_, err = stdout.Write(data)
	return err
}

func isPipe(f *os.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeNamedPipe != 0
}

// supported are the features that work. containerd reads linux always, and
// offers user namespaces and recursive read-only mounts by what it says.
func supported() *features.Features {
	yes, no := true, false
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: "1.3.0",
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  oci.MountOptions(),
		Linux: &features.Linux{
			Namespaces: []string{"cgroup", "ipc", "mount", "network", "pid", "user", "uts"},
			Capabilities: []string{
				"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_NET_BIND_SERVICE",
			},
			Cgroup:          &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &no},
			Seccomp:         &features.Seccomp{Enabled: &yes},
			Apparmor:        &features.Apparmor{Enabled: &yes},
			Selinux:         &features.Selinux{Enabled: &yes},
			IntelRdt:        &features.IntelRdt{Enabled: &no},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
		},
	}
}
