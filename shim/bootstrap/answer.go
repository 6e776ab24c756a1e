// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"fmt"
	"time"

	"containerd-shim-wazero/oci/wire"
	"containerd-shim-wazero/shim/record"
)

// answer is what `start` prints, without a newline: one breaks the protobuf form.
// Addresses are paths of hexadecimal digits below a folder, so JSON needs no escapes
// but those of %q.
func (r *Request) answer(address string) []byte {
	if !r.Modern {
		return fmt.Appendf(nil, `{"version":%d,"address":%q,"protocol":"ttrpc"}`, r.taskVersion(), address)
	}
	b := wire.AppendVarint(nil, 1, uint64(r.taskVersion()))
	b = wire.AppendString(b, 2, address)
	b = wire.AppendString(b, 3, "ttrpc")
	// An (also empty) MountCapabilities saves containerd 2.4 a call of -info at
	// every create; older ones pass over it.
	capabilities := wire.AppendString(nil, 1, "containerd.types.MountCapabilities")
	extension := wire.AppendString(nil, 1, string(capabilities))
	return wire.AppendString(b, 6, string(extension))
}

// deleteResponse is a containerd.task.v2.DeleteResponse.
func deleteResponse(r record.Record) []byte {
	b := wire.AppendVarint(nil, 1, uint64(r.Pid))
	b = wire.AppendVarint(b, 2, uint64(r.Status))
	return wire.AppendString(b, 3, string(timestamp(r.Time)))
}

// timestamp is a google.protobuf.Timestamp.
func timestamp(t time.Time) []byte {
	b := wire.AppendVarint(nil, 1, uint64(t.Unix()))
	return wire.AppendVarint(b, 2, uint64(t.Nanosecond()))
}
