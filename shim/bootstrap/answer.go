// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"containerd-shim-wazero/shim/record"
)

// answer is what `start` prints, without a newline: one breaks the protobuf form.
// Addresses are paths of hexadecimal digits below a folder, so JSON needs no escapes
// but those of %q.
func (r *Request) answer(address string) []byte {
	if !r.Modern {
		return fmt.Appendf(nil, `{"version":%d,"address":%q,"protocol":"ttrpc"}`, r.taskVersion(), address)
	}
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(r.taskVersion()))
	b = appendString(b, 2, address)
	b = appendString(b, 3, "ttrpc")
	// An (also empty) MountCapabilities saves containerd 2.4 a call of -info at
	// every create; older ones pass over it.
	capabilities := appendString(nil, 1, "containerd.types.MountCapabilities")
	extension := appendString(nil, 1, string(capabilities))
	return appendString(b, 6, string(extension))
}

// deleteResponse is a containerd.task.v2.DeleteResponse.
func deleteResponse(r record.Record) []byte {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(r.Pid))
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(r.Status))
	return appendString(b, 3, string(timestamp(r.Time)))
}

// timestamp is a google.protobuf.Timestamp.
func timestamp(t time.Time) []byte {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(t.Unix()))
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(t.Nanosecond()))
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}
