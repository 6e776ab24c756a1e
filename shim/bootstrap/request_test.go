// Copyright The containerd-shim-wazero authors.
// SPDX-License-Identifier: Apache-2.0

package bootstrap

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	boot "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/runc/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"containerd-shim-wazero/shim/record"
)

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// typed packs m as containerd's typeurl does, by its bare name.
func typed(t testing.TB, m proto.Message) *anypb.Any {
	return &anypb.Any{TypeUrl: string(m.ProtoReflect().Descriptor().FullName()), Value: marshal(t, m)}
}

func params(t testing.TB, change func(*boot.BootstrapParams)) []byte {
	dir := "/run/s"
	p := &boot.BootstrapParams{
		InstanceID: "c1", Namespace: "ns", ContainerdVersion: "v2.4.2",
		ContainerdTtrpcAddress: "/run/c.ttrpc", ContainerdGrpcAddress: "/run/c", ContainerdBinary: "/bin/containerd",
		SocketDir: &dir,
	}
	if err := p.AddExtension(typed(t, &options.Options{ShimCgroup: "/shims", IoUid: 7})); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(p)
	}
	return marshal(t, p)
}

func TestParseRequest(t *testing.T) {
	for name, test := range map[string]struct {
		input []byte
		debug bool
		want  Request
	}{
		"no input":     {want: Request{}},
		"debug flag":   {debug: true, want: Request{Debug: true}},
		"runc options": {input: marshal(t, typed(t, &options.Options{ShimCgroup: "/shims"})), want: Request{ShimCgroup: "/shims"}},
		"runc options, full URL": {
			input: marshal(t, &anypb.Any{TypeUrl: "types.example/containerd.runc.v1.Options", Value: marshal(t, &options.Options{ShimCgroup: "/a"})}),
			want:  Request{ShimCgroup: "/a"},
		},
		"other options": {input: marshal(t, typed(t, &runtimeoptions.Options{ConfigPath: "/x", ConfigBody: []byte("y")})), want: Request{}},
		"bootstrap": {
			input: params(t, nil),
			want:  Request{Modern: true, Containerd: "v2.4.2", TTRPC: "/run/c.ttrpc", GRPC: "/run/c", SocketDir: "/run/s", ShimCgroup: "/shims"},
		},
		"bootstrap, debug": {
			input: params(t, func(p *boot.BootstrapParams) { p.LogLevel, p.Extensions = boot.LogLevel_LOG_LEVEL_TRACE, nil }),
			want:  Request{Modern: true, Debug: true, Containerd: "v2.4.2", TTRPC: "/run/c.ttrpc", GRPC: "/run/c", SocketDir: "/run/s"},
		},
		"bootstrap, warnings only": {
			input: params(t, func(p *boot.BootstrapParams) { p.LogLevel, p.SocketDir = boot.LogLevel_LOG_LEVEL_WARN, nil }),
			want:  Request{Modern: true, Containerd: "v2.4.2", TTRPC: "/run/c.ttrpc", GRPC: "/run/c", ShimCgroup: "/shims"},
		},
		"bootstrap of another container": {input: params(t, func(p *boot.BootstrapParams) { p.InstanceID = "c2" }), want: Request{}},
		"bootstrap of another namespace": {input: params(t, func(p *boot.BootstrapParams) { p.Namespace = "k8s.io" }), want: Request{}},
		"not protobuf":                   {input: []byte("hello, world"), want: Request{}},
		"cut off":                        {input: params(t, nil)[:20], want: Request{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseRequest(test.input, &Invocation{ID: "c1", Namespace: "ns", Debug: test.debug})
			if *got != test.want {
				t.Errorf("got %+v, want %+v", *got, test.want)
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add(params(f, nil))
	f.Add(marshal(f, typed(f, &options.Options{ShimCgroup: "/shims"})))
	f.Add([]byte("\x0a\x02c1\x12\x02ns"))
	f.Add([]byte("\n\x02c1\x12\x02nsB\x06001000")) // an extension that is none
	inv := &Invocation{ID: "c1", Namespace: "ns"}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := parseRequest(data, inv)
		var p boot.BootstrapParams
		if proto.Unmarshal(data, &p) != nil {
			return // where the fields that matter can be read, that is no matter
		}
		if p.InstanceID != inv.ID || p.Namespace != inv.Namespace {
			if got.Modern {
				t.Error("taken for a BootstrapParams")
			}
			return
		}
		if !got.Modern || got.SocketDir != p.GetSocketDir() || got.Containerd != p.ContainerdVersion {
			t.Errorf("got %+v of %v", got, &p)
		}
	})
}

func TestTaskVersion(t *testing.T) {
	for version, want := range map[string]int{
		"": 2, "v2.4.2": 3, "2.4.0-rc.1": 3, "v2.5.0+unknown": 3, "3.0.0": 3, "2.10.1": 3,
		"v2.3.7": 2, "2.0.0": 2, "1.7.35": 2, "main": 2, "v2": 2, "v2.x.1": 2,
	} {
		if got := (&Request{Containerd: version}).taskVersion(); got != want {
			t.Errorf("containerd %q: version %d, want %d", version, got, want)
		}
	}
}

// Every containerd reads the answer meant for it.
func TestAnswer(t *testing.T) {
	const address = "unix:///run/containerd/s/0123"
	var legacy struct {
		Version           int
		Address, Protocol string
	}
	data := (&Request{}).answer(address)
	if err := json.Unmarshal(data, &legacy); err != nil || legacy.Version != 2 || legacy.Address != address || legacy.Protocol != "ttrpc" {
		t.Errorf("legacy answer %q: %+v, %v", data, legacy, err)
	}
	if proto.Unmarshal(data, new(boot.BootstrapResult)) == nil {
		t.Error("the legacy answer could be taken for a BootstrapResult")
	}
	for version, want := range map[string]int32{"2.3.1": 2, "2.4.0": 3} {
		var result boot.BootstrapResult
		if err := proto.Unmarshal((&Request{Modern: true, Containerd: version}).answer(address), &result); err != nil {
			t.Fatal(err)
		}
		if result.Version != want || result.Address != address || result.Protocol != "ttrpc" {
			t.Errorf("containerd %s: %v", version, &result)
		}
		if found, err := result.FindExtension(new(types.MountCapabilities)); !found || err != nil {
			t.Errorf("no MountCapabilities: %v", err)
		}
	}
}

func TestDeleteResponse(t *testing.T) {
	at := time.Unix(1700000000, 123456789)
	var got taskapi.DeleteResponse
	if err := proto.Unmarshal(deleteResponse(record.Record{Pid: 4711, Exited: true, Status: 143, Time: at}), &got); err != nil {
		t.Fatal(err)
	}
	if got.Pid != 4711 || got.ExitStatus != 143 || !got.ExitedAt.AsTime().Equal(at) {
		t.Errorf("got %v", &got)
	}
}

func TestReadPipe(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if data, err := readPipe(int(null.Fd())); data != nil || err != nil {
		t.Errorf("/dev/null: %q, %v", data, err)
	}
	pipeOf := func(data string) (*os.File, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		go func() {
			_, _ = w.WriteString(data)
			w.Close()
		}()
		return r, w
	}
	r, _ := pipeOf(strings.Repeat("x", 100_000))
	if data, err := readPipe(int(r.Fd())); len(data) != 100_000 || err != nil {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	r, _ = pipeOf(strings.Repeat("x", maxRequest+1))
	if _, err := readPipe(int(r.Fd())); err == nil {
		t.Error("no limit of size")
	}
}
