// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
)

// A frame's body is a struct's fields in order: a bool as a byte, numbers as
// varints, a string as its length and bytes, slices and maps as their length
// and one, 0 for nil, and what they hold; a pointer as a byte that says whether
// there is a value, and the value. A struct that gives itself as text (netip)
// is that text. Names and types are left out: both ends are the same program.

// maxDepth is how many values may lie within each other.
const maxDepth = 16

// textual are the types that give themselves as text.
var textual = reflect.TypeFor[encoding.TextMarshaler]()

var errDeep = errors.New("its values are nested too deeply")

// unsupported refuses what would be lost, or is not known how to be carried.
func unsupported(v reflect.Value) error { return fmt.Errorf("it holds a %s", v.Type()) }

// encode appends v to b.
func encode(b []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	switch v.Kind() {
	case reflect.Bool:
		return appendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return binary.AppendUvarint(b, v.Uint()), nil
	case reflect.String:
		return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...), nil
	case reflect.Pointer:
		b = appendBool(b, !v.IsNil())
		if v.IsNil() {
			return b, nil
		}
		return encode(b, v.Elem(), depth+1)
	case reflect.Slice:
		return encodeSlice(b, v, depth)
	case reflect.Map:
		return encodeMap(b, v, depth)
	case reflect.Struct:
		return encodeStruct(b, v, depth)
	}
	return nil, unsupported(v)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func encodeSlice(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	if v.IsNil() {
		return append(b, 0), nil
	}
	b = binary.AppendUvarint(b, uint64(v.Len())+1)
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return append(b, v.Bytes()...), nil
	}
	for i := 0; i < v.Len() && err == nil; i++ {
		b, err = encode(b, v.Index(i), depth+1)
	}
	return b, err
}

func encodeMap(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	if v.IsNil() {
		return append(b, 0), nil
	}
	b = binary.AppendUvarint(b, uint64(v.Len())+1)
	for entry := v.MapRange(); entry.Next() && err == nil; {
		if b, err = encode(b, entry.Key(), depth+1); err == nil {
			b, err = encode(b, entry.Value(), depth+1)
		}
	}
	return b, err
}

func encodeStruct(b []byte, v reflect.Value, depth int) (_ []byte, err error) {
	if v.Type().Implements(textual) {
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		return append(binary.AppendUvarint(b, uint64(len(text))), text...), err
	}
	for i := 0; i < v.NumField() && err == nil; i++ {
		if !v.Field(i).CanInterface() { // not exported
			return nil, unsupported(v)
		}
		b, err = encode(b, v.Field(i), depth+1)
	}
	return b, err
}
