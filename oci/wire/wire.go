// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

// Package wire reads and writes protobuf messages field by field, without
// their descriptors: for programs that run at every container, and for the few
// messages of services whose packages would bring all of grpc with them.
package wire

import "google.golang.org/protobuf/encoding/protowire"

// Field is one field of a message. A field of another kind than a varint, a
// string, bytes or a message has neither.
type Field struct {
	Number protowire.Number
	// Bytes of a string, of bytes or of a message, nil for other kinds; they are
	// those of the input.
	Bytes  []byte
	Varint uint64
}

// Fields calls f for each field of a message, repeated ones each time.
func Fields(message []byte, f func(Field)) error {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		field := Field{Number: num}
		switch typ {
		case protowire.BytesType:
			field.Bytes, n = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			field.Varint, n = protowire.ConsumeVarint(message)
		default:
			n = protowire.ConsumeFieldValue(num, typ, message)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		f(field)
	}
	return nil
}

// Find returns the bytes of the last field with that number, nil if there is none.
func Find(message []byte, number protowire.Number) (found []byte, err error) {
	err = Fields(message, func(f Field) {
		if f.Number == number && f.Bytes != nil {
			found = f.Bytes
		}
	})
	return found, err
}

// AppendVarint appends a number.
func AppendVarint(b []byte, number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

// AppendString appends a string, or bytes, or a message.
func AppendString(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}
