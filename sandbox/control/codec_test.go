// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"runtime"
	"testing"

	"containerd-shim-wazero/sandbox/config"
	"containerd-shim-wazero/sandbox/wasi/policy"
)

// messages are all bodies that frames have.
var messages = []any{Setup{}, Label{}, Process{}, Image{}, Error{}}

// newOf is a pointer to a new value of a message's type.
func newOf(message any) any { return reflect.New(reflect.TypeOf(message)).Interface() }

// filled is a message each of whose fields, also of those that are added after
// this test, has a value other than zero.
func filled(t testing.TB, message any) any {
	v := reflect.ValueOf(newOf(message))
	n := 0
	fill(t, v.Elem(), &n)
	return v.Interface()
}

func fill(t testing.TB, v reflect.Value, n *int) {
	*n++
	if v.Type() == reflect.TypeFor[netip.Prefix]() {
		v.Set(reflect.ValueOf(netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", *n%256))))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(-*n))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(math.MaxUint64 >> (64 - v.Type().Bits()))
	case reflect.String:
		v.SetString(fmt.Sprintf("%d\x00\xff", *n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, n)
			fill(t, value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a message holds a %s", v.Type())
	}
}

func encoded(t testing.TB, message any) []byte {
	t.Helper()
	b, err := encode(nil, reflect.Indirect(reflect.ValueOf(message)), 0)
	if err != nil {
		t.Fatalf("%T: %v", message, err)
	}
	return b
}

func TestEveryField(t *testing.T) {
	for _, message := range messages {
		for _, want := range []any{newOf(message), filled(t, message)} {
			got := newOf(message)
			if err := decodeBody(encoded(t, want), got); err != nil {
				t.Errorf("%T: %v", message, err)
			} else if !reflect.DeepEqual(got, want) {
				t.Errorf("%T came back as\n%+v, not\n%+v", message, got, want)
			}
		}
	}
}

// TestNothingAndNone: no preopens are not preopens by the rule.
func TestNothingAndNone(t *testing.T) {
	want := Process{Process: config.Process{Args: []string{}, Preopens: []config.Preopen{}}}
	want.Network.Grants.Listen = make([]policy.ListenRule, 1000) // the zero prefix is every address
	var got Process
	if err := decodeBody(encoded(t, want), &got); err != nil {
		t.Fatal(err)
	}
	if got.Args == nil || got.Preopens == nil || got.Env != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestCutOff: a body of any other length than its own is an error.
func TestCutOff(t *testing.T) {
	for _, message := range messages {
		b := encoded(t, filled(t, message))
		for n := range b {
			if err := decodeBody(b[:n], newOf(message)); err == nil {
				t.Errorf("%T: the first %d of %d bytes were taken for the whole", message, n, len(b))
			}
		}
		if err := decodeBody(append(b, 0), newOf(message)); err == nil {
			t.Errorf("%T: a byte at the end was overlooked", message)
		}
	}
}

// TestLengthsThatLie: memory follows what has come, not what is said to come.
func TestLengthsThatLie(t *testing.T) {
	huge := bytes.Repeat([]byte{0xff}, 8)
	for name, b := range map[string][]byte{
		"past what is left": append(huge, 1),
		"of 64 bits":        append(huge, 0xff, 1),
		"of more":           append(huge, 0xff, 0xff),
	} {
		for _, to := range []any{new([]config.Device), new(map[string]string), new(string), new([]byte)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := decodeBody(append(b, make([]byte, 100)...), to)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; err == nil || grown > 1<<20 {
				t.Errorf("a length %s of a %T: %v, %d bytes", name, to, err, grown)
			}
		}
	}
}

// TestRefused: what would not arrive as it was is an error on both sides.
func TestRefused(t *testing.T) {
	type list struct{ Next *list }
	deep := &list{}
	for range maxDepth {
		deep = &list{deep}
	}
	for _, v := range []any{
		struct{ unexported int }{1}, struct{ F float64 }{1}, struct{ F any }{1}, struct{ F func() }{}, struct{ F [2]int }{}, *deep,
	} {
		if _, err := encode(nil, reflect.ValueOf(v), 0); err == nil {
			t.Errorf("%T was encoded", v)
		}
		if err := decodeBody(bytes.Repeat([]byte{1}, 2*maxDepth), newOf(v)); err == nil {
			t.Errorf("%T was decoded", v)
		}
	}
	var small struct{ N int8 }
	if err := decodeBody(encoded(t, struct{ N int }{200}), &small); err == nil {
		t.Errorf("200 became %d", small.N)
	}
}

// FuzzDecode: of whatever comes there is an error or a message, which then
// travels as any other.
func FuzzDecode(f *testing.F) {
	for i, message := range messages {
		f.Add(byte(i), encoded(f, newOf(message)))
		f.Add(byte(i), encoded(f, filled(f, message)))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		message := messages[int(which)%len(messages)]
		first, second := newOf(message), newOf(message)
		if decodeBody(b, first) != nil {
			return
		}
		if err := decodeBody(encoded(t, first), second); err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%+v came back as %+v (%v)", first, second, err)
		}
	})
}
