// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package pod maps a Kubernetes pod, as CRI describes it to a shim that serves
// the sandbox API, to the bundle of the pod's pause container.
package pod

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"containerd-shim-wazero/oci/wire"
)

// Mode of a namespace, as NamespaceMode of CRI numbers it.
type Mode uint64

// The modes that matter to a pod's own namespaces: a node's are the host's.
const (
	ModePod  Mode = 0
	ModeNode Mode = 2
)

// Config is what is used here of CRI's runtime.v1.PodSandboxConfig
// (k8s.io/cri-api, pkg/apis/runtime/v1/api.proto).
type Config struct {
	Name, Namespace, UID string
	Hostname             string
	DNS                  DNS
	Annotations          map[string]string
	CgroupParent         string
	Sysctls              map[string]string
	Network, PID, IPC    Mode
	// UIDs and GIDs map a user namespace of the pod's own; without them it has
	// the host's.
	UIDs, GIDs []specs.LinuxIDMapping
}

// DNS is what a pod's resolv.conf is made of; all empty means the host's.
type DNS struct{ Servers, Searches, Options []string }

const typeName = "runtime.v1.PodSandboxConfig"

// Decode reads the options of a CreateSandboxRequest. The error wraps
// errdefs.ErrInvalidArgument.
func Decode(typeURL string, value []byte) (*Config, error) {
	if !strings.HasSuffix(typeURL, typeName) {
		return nil, fmt.Errorf("sandbox options of the type %.200q: %s is expected: %w", typeURL, typeName, errdefs.ErrInvalidArgument)
	}
	d := &decoder{Config: Config{Annotations: map[string]string{}, Sysctls: map[string]string{}}}
	d.fields(value, d.pod)
	if d.err != nil {
		return nil, fmt.Errorf("sandbox options: %w: %w", d.err, errdefs.ErrInvalidArgument)
	}
	return &d.Config, nil
}

// decoder keeps the first error. The field numbers are those of api.proto.
type decoder struct {
	Config
	err error
}

func (d *decoder) fields(message []byte, f func(wire.Field)) {
	if err := wire.Fields(message, f); d.err == nil {
		d.err = err
	}
}

func (d *decoder) pod(f wire.Field) {
	switch f.Number {
	case 1:
		d.fields(f.Bytes, d.metadata)
	case 2:
		d.Hostname = string(f.Bytes)
	case 4:
		d.fields(f.Bytes, d.dns)
	case 7:
		d.entry(f.Bytes, d.Annotations)
	case 8:
		d.fields(f.Bytes, d.linux)
	}
}

func (d *decoder) metadata(f wire.Field) {
	switch f.Number {
	case 1:
		d.Name = string(f.Bytes)
	case 2:
		d.UID = string(f.Bytes)
	case 3:
		d.Namespace = string(f.Bytes)
	}
}

func (d *decoder) dns(f wire.Field) {
	switch f.Number {
	case 1:
		d.DNS.Servers = append(d.DNS.Servers, string(f.Bytes))
	case 2:
		d.DNS.Searches = append(d.DNS.Searches, string(f.Bytes))
	case 3:
		d.DNS.Options = append(d.DNS.Options, string(f.Bytes))
	}
}

// entry is one of a map of strings.
func (d *decoder) entry(message []byte, m map[string]string) {
	var key, value string
	d.fields(message, func(f wire.Field) {
		switch f.Number {
		case 1:
			key = string(f.Bytes)
		case 2:
			value = string(f.Bytes)
		}
	})
	m[key] = value
}

func (d *decoder) linux(f wire.Field) {
	switch f.Number {
	case 1:
		d.CgroupParent = string(f.Bytes)
	case 2: // the security context, of which field 1 are the namespaces
		d.fields(f.Bytes, func(f wire.Field) {
			if f.Number == 1 {
				d.fields(f.Bytes, d.namespaces)
			}
		})
	case 3:
		d.entry(f.Bytes, d.Sysctls)
	}
}

func (d *decoder) namespaces(f wire.Field) {
	switch f.Number {
	case 1:
		d.Network = Mode(f.Varint)
	case 2:
		d.PID = Mode(f.Varint)
	case 3:
		d.IPC = Mode(f.Varint)
	case 5:
		d.user(f.Bytes)
	}
}

// user reads UserNamespace, whose mappings count in mode POD alone. Like
// containerd's own sandboxer it takes no other mode but NODE.
func (d *decoder) user(message []byte) {
	mode := ModePod
	var uids, gids []specs.LinuxIDMapping
	d.fields(message, func(f wire.Field) {
		switch f.Number {
		case 1:
			mode = Mode(f.Varint)
		case 2:
			uids = append(uids, d.mapping(f.Bytes))
		case 3:
			gids = append(gids, d.mapping(f.Bytes))
		}
	})
	var err error
	switch {
	case mode == ModeNode:
		return
	case mode != ModePod:
		err = fmt.Errorf("a user namespace in mode %d: %d (the pod's) and %d (the node's) are supported", mode, ModePod, ModeNode)
	case len(uids) == 0 || len(gids) == 0:
		err = errors.New("a user namespace of the pod's own has no mapping of users or of groups")
	}
	d.UIDs, d.GIDs = uids, gids
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) mapping(message []byte) (m specs.LinuxIDMapping) {
	d.fields(message, func(f wire.Field) {
		switch f.Number {
		case 1:
			m.HostID = uint32(f.Varint)
		case 2:
			m.ContainerID = uint32(f.Varint)
		case 3:
			m.Size = uint32(f.Varint)
		}
	})
	return m
}
