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

var errMalformed = errors.New("it is cut off or malformed")

// decoder is what is left of a body. The other end may be hostile: nothing is
// made larger than what has come for it.
type decoder struct{ left []byte }

// decode fills v, which is zero and can be set.
func (d *decoder) decode(v reflect.Value, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	switch v.Kind() {
	case reflect.Bool:
		yes, err := d.bool()
		v.SetBool(yes)
		return err
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, size := binary.Varint(d.left)
		if size <= 0 || v.OverflowInt(n) {
			return errMalformed
		}
		d.left = d.left[size:]
		v.SetInt(n)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n, err := d.uint()
		if err != nil || v.OverflowUint(n) {
			return errMalformed
		}
		v.SetUint(n)
		return nil
	case reflect.String:
		text, err := d.bytes()
		v.SetString(string(text))
		return err
	case reflect.Pointer:
		there, err := d.bool()
		if err != nil || !there {
			return err
		}
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(v.Elem(), depth+1)
	case reflect.Slice:
		return d.slice(v, depth)
	case reflect.Map:
		return d.table(v, depth)
	case reflect.Struct:
		return d.structure(v, depth)
	}
	return unsupported(v)
}

func (d *decoder) uint() (uint64, error) {
	n, size := binary.Uvarint(d.left)
	if size <= 0 {
		return 0, errMalformed
	}
	d.left = d.left[size:]
	return n, nil
}

func (d *decoder) bool() (bool, error) {
	if len(d.left) == 0 || d.left[0] > 1 {
		return false, errMalformed
	}
	yes := d.left[0] == 1
	d.left = d.left[1:]
	return yes, nil
}

// bytes are those of a string, as a part of the body.
func (d *decoder) bytes() ([]byte, error) {
	n, err := d.uint()
	if err != nil || n > uint64(len(d.left)) {
		return nil, errMalformed
	}
	text := d.left[:n]
	d.left = d.left[n:]
	return text, nil
}

// count is the length of a slice or map, -1 for nil.
func (d *decoder) count() (int, error) {
	n, err := d.uint()
	if err != nil || n > uint64(len(d.left))+1 { // each value takes a byte at least
		return 0, errMalformed
	}
	return int(n) - 1, nil
}

func (d *decoder) slice(v reflect.Value, depth int) error {
	n, err := d.count()
	if err != nil || n < 0 {
		return err
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(append([]byte{}, d.left[:n]...))
		d.left = d.left[n:]
		return nil
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, min(n, 16)))
	for i := range n {
		v.Grow(1)
		v.SetLen(i + 1)
		if err := d.decode(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) table(v reflect.Value, depth int) error {
	n, err := d.count()
	if err != nil || n < 0 {
		return err
	}
	t := v.Type()
	v.Set(reflect.MakeMap(t))
	for range n {
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if err := d.decode(key, depth+1); err != nil {
			return err
		}
		if err := d.decode(value, depth+1); err != nil {
			return err
		}
		v.SetMapIndex(key, value)
	}
	return nil
}

func (d *decoder) structure(v reflect.Value, depth int) error {
	if v.Type().Implements(textual) {
		text, err := d.bytes()
		if err != nil {
			return err
		}
		u, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
		if !ok {
			return unsupported(v)
		}
		return u.UnmarshalText(text)
	}
	for i := range v.NumField() {
		if !v.Field(i).CanSet() { // not exported
			return unsupported(v)
		}
		if err := d.decode(v.Field(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// decodeBody decodes the whole of a body.
func decodeBody(body []byte, to any) error {
	v := reflect.ValueOf(to)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("a message is not decoded to a %T", to)
	}
	d := decoder{body}
	if err := d.decode(v.Elem(), 0); err != nil {
		return err
	}
	if len(d.left) > 0 {
		return fmt.Errorf("%d bytes too many", len(d.left))
	}
	return nil
}
