// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"containerd-shim-wazero/sandbox/config"
)

func job(export string) guestJob {
	return guestJob{Process: config.Process{Module: config.Module{Export: export}}}
}

func TestTrapSourceLines(t *testing.T) {
	r := runGuest(t, testModule(t, "source"), guestJob{})
	want := "wasm trap: unreachable\nwasm backtrace:\n" +
		"    0: inner(i32) i32\n         at source.c:8:3\n" +
		"    1: start()\n         at source.c:15:9\n"
	if r.status != TrapStatus || r.err != want {
		t.Errorf("status %d, stderr %q, want %q", r.status, r.err, want)
	}
}

// A stderr that nobody reads costs the message, nothing else.
func TestTrapWithoutReader(t *testing.T) {
	j := job("divide")
	j.NoStderr = true
	if r := runGuest(t, testModule(t, "traps"), j); r.status != TrapStatus {
		t.Errorf("status %d", r.status)
	}
}

func TestParseTrap(t *testing.T) {
	tests := []struct {
		name, text string
		want       trap
	}{
		{
			"trap",
			"wasm error: unreachable\nwasm stack trace:\n\t.$3(i32,i64) i32\n\t\t0x4f: main.c:3:5 (inlined)\n\t\t      main.c:9:1\n\t.$0()",
			trap{reason: "unreachable", frames: []frame{
				{3, "(i32,i64) i32", []string{"main.c:3:5 (inlined)", "main.c:9:1"}}, {0, "()", nil},
			}},
		},
		{
			"no frames",
			"wasm error: stack overflow",
			trap{reason: "stack overflow"},
		},
		{
			"many frames",
			"wasm error: unreachable\nwasm stack trace:\n\t.$1()\n\t... maybe followed by omitted frames",
			trap{reason: "unreachable", frames: []frame{{1, "()", nil}}, cut: true},
		},
		{
			"host function",
			"runtime error: index out of range (recovered by wazero)\nwasm stack trace:\n\twasi_snapshot_preview1.fd_write(i32) i32\n\t.$2()\n\n" +
				"Go runtime stack trace:\ngoroutine 1 [running]:\n\t.$9()",
			trap{reason: "runtime error: index out of range", hostBug: true, frames: []frame{{2, "()", nil}}},
		},
		{"odd", "something else", trap{reason: "something else"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseTrap(tt.text); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// What wazero says of a host function that panics is read as a bug of ours.
func TestHostPanic(t *testing.T) {
	ctx := context.Background()
	for _, value := range []any{"text", error(errStale), nil} {
		rt := wazero.NewRuntime(ctx)
		_, err := rt.NewHostModuleBuilder("wasi_snapshot_preview1").NewFunctionBuilder().
			WithFunc(func(uint32) {
				if value == nil {
					var empty []int
					_ = empty[len(empty)]
				}
				panic(value)
			}).Export("proc_exit").Instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = rt.InstantiateWithConfig(ctx, testModule(t, "exit256"), wazero.NewModuleConfig())
		if err == nil {
			t.Fatal("no error")
		}
		// The names of this module are its own: it is no skeleton.
		_, text, _ := strings.Cut(err.Error(), "failed: ")
		if got := parseTrap(text); !got.hostBug || strings.Contains(got.reason, "goroutine") {
			t.Errorf("%q is read as %+v", err, got)
		}
		rt.Close(ctx)
	}
}
